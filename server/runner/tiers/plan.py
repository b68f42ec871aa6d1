"""The plan that the launcher reads: the command, its limits and its confinement, as records."""

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
    """The confinement of one command, as its tier prepared it."""

    home: Path
    temporary: Path
    neighbours: int | None
    """Threads of other processes that RLIMIT_NPROC counts, too, for want of a user namespace; None if a control group
    limits the number instead."""

    ruleset: Ruleset | None
    program: bytes | None
    """A system call filter, as BPF."""

    gateway: Gateway | None = None
    """The command's proxy, if it may reach only some hosts."""

    channel: CallbackChannel | None = None
    """Its callback channel to the server, if it has one."""

    read_only: tuple[Path, ...] = ()
    """Read-only paths in the workspace."""

    private: tuple[Path, ...] = ()
    """Folders made for this command that it may write to, besides those of its policy."""

    covered: tuple[Path, ...] = ()
    """Sockets of other programs, each to be hidden by an empty file."""


def encode(
    command: Command,
    policy: SandboxPolicy,
    confinement: Confinement,
    descriptors: Mapping[int, int] | None = None,
    handler: CallbackHandler | None = None,
) -> bytes:
    """Encode the plan: records `kind value`, each ended by a NUL, then `end`.

    `descriptors` maps each descriptor that the launcher inherits to its number in the command.
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
        "GIT_CONFIG_NOSYSTEM": "1",  # git fails if it sees the system's configuration and may not read it
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
        "RLIMIT_DATA": limits.memory_bytes,  # not RLIMIT_AS: just-in-time compilers reserve far more than they use
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
