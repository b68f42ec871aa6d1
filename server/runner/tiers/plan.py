"""What the launcher is told: the command, its limits and its confinement, as the records it reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from server.runner.host_paths import SEARCH_PATH
from server.runner.network import callback
from server.runner.network.callback import CallbackChannel, CallbackHandler
from server.runner.network.gateway import BACKLOG, Gateway
from server.runner.policy import Command, Limits, SandboxPolicy
from server.runner.tiers.landlock import Ruleset


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a tier puts around a command, once it runs in its place."""

    home: Path
    temporary: Path
    neighbours: int | None
    """Threads that the kernel counts along with the command's, where no user namespace tells them apart; None where
    a control group holds their number."""

    ruleset: Ruleset | None
    program: bytes | None
    """A system call filter, as BPF."""

    gateway: Gateway | None = None
    """Where the command finds its proxy, if it may reach hosts by name."""

    channel: CallbackChannel | None = None
    """Where it can talk to the server, if it may."""

    read_only: tuple[Path, ...] = ()
    """What of the workspace is not to be written."""

    private: tuple[Path, ...] = ()
    """Folders on disk that were made for the command, and that it may write to, beside those of its policy."""

    covered: tuple[Path, ...] = ()
    """Sockets of other programs, over which an empty file is mounted."""


def encode(
    command: Command,
    policy: SandboxPolicy,
    confinement: Confinement,
    descriptors: Mapping[int, int] | None = None,
    handler: CallbackHandler | None = None,
) -> bytes:
    """Write the plan: records `kind value`, each closed by a NUL, then `end`.

    `descriptors` are those that the launcher inherits, each with its place in the command.
    """
    records = [
        ("folder", str(policy.folder or policy.workspace)),
        *_environment(command, confinement, handler),
        *(("arg", argument) for argument in command.argv),
        *_limits(policy.limits, confinement.neighbours),
        *_confinement(confinement),
        *(("pinned", str(path)) for path in policy.pinned),
        *(("descriptor", f"{given} {place}") for given, place in (descriptors or {}).items()),
    ]
    return b"".join(f"{kind} {value}\0".encode(errors="surrogateescape") for kind, value in records) + b"end\0"


def _environment(
    command: Command, confinement: Confinement, handler: CallbackHandler | None
) -> Iterator[tuple[str, str]]:
    defaults = {
        "GIT_CONFIG_NOSYSTEM": "1",  # git gives up where it sees the system's settings and may not read them
        "HOME": str(confinement.home),
        "LANG": "C.UTF-8",
        "PATH": SEARCH_PATH,
        "TMPDIR": str(confinement.temporary),
        **(confinement.gateway.environment() if confinement.gateway else {}),
    }
    opened = handler.environment(confinement.channel) if handler and confinement.channel else {}
    for name, value in {**defaults, **command.env, **opened}.items():
        yield "env", f"{name}={value}"


def _limits(limits: Limits, neighbours: int | None) -> Iterator[tuple[str, str]]:
    values = {
        "RLIMIT_CORE": 0,
        "RLIMIT_DATA": limits.memory_bytes,  # not AS: programs that compile as they run reserve far more than they use
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_NOFILE": limits.open_files,
    }
    if neighbours is not None:
        values["RLIMIT_NPROC"] = limits.processes + neighbours
    for name, value in values.items():
        yield "limit", f"{name} {value}"


def _confinement(confinement: Confinement) -> Iterator[tuple[str, str]]:
    if confinement.ruleset:
        yield from confinement.ruleset.records()
    if confinement.program:
        yield "seccomp", confinement.program.hex()
    if confinement.gateway and confinement.gateway.listener is None:
        yield "listen", f"{confinement.gateway.port} {BACKLOG}"
    if confinement.channel and confinement.channel.listener is None:
        yield "listen", f"{confinement.channel.port} {callback.BACKLOG}"
