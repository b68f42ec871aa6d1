"""The tiers without namespaces, `landlock` and `off`: a supervisor runs the launcher and ends its process tree."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import ClassVar, Self

from server.errors import Code, RemitError
from server.runner import host_paths, process_tree
from server.runner.network.callback import CallbackChannel
from server.runner.network.gateway import NAMES_GAP, Gateway
from server.runner.policy import SandboxPolicy
from server.runner.programs.copies import INSTALLED, Programs
from server.runner.tiers import landlock, seccomp
from server.runner.tiers.gaps import LOCKS_GAP, OWN_FOLDER_GAP, Gaps, Machines
from server.runner.tiers.interpreter import Interpreter
from server.runner.tiers.landlock import Ruleset
from server.runner.tiers.plan import Confinement
from server.runner.tiers.scratch import Scratch
from server.tier_names import TierName

_TEMPORARY_GAP = "The size of temporary folders is not limited, only that of each file."
_LANDLOCK_GAPS = (
    "The kernel is shared: a bug in it can be a way out.",
    "The command sees the processes of this machine and their command lines, and can change the priority of yours.",
    "It can look up files outside by name, and change the mode, times and attributes (not the content) of yours.",
    "A readable path inside the workspace is not protected from being written; neither is what other tools execute in "
    "a repository: .envrc, .vscode and their like, and git's hooks and settings; in a worktree these two are set aside "
    "once a run has ended.",
    OWN_FOLDER_GAP,
    "With network = full the command reaches everything this machine can, its own local services included.",
    NAMES_GAP,
    LOCKS_GAP,
    "It can take what your programs write to a FIFO in a folder that it may only read.",
    "With a network by name it also reaches, on any other host, the port numbers of its proxy and of its "
    "callback channel to this server, random ones.",
    "Without a network it has no such channel: programs that may hand on sub-tasks cannot do so.",
    _TEMPORARY_GAP,
)
_SIGNAL_GAP = (
    "It can send signals to your other processes, its supervisor and this server included; keeping them apart takes "
    "Linux 6.12 or newer."
)
_OFF_GAPS = (
    "Nothing confines the command: it can read, write and reach all that you can.",
    "It can end its supervisor, and then outlive its task.",
    _TEMPORARY_GAP,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Supervised:
    """The common part of both tiers."""

    interpreter: Interpreter
    scratch: Scratch
    programs: Programs = INSTALLED

    supervised: ClassVar[bool] = True

    def argv(self, _policy: SandboxPolicy, confinement: Confinement) -> tuple[str, ...]:
        """Return the command line of the supervisor, which starts the launcher."""
        return (*self.interpreter.command(self.programs.supervisor), str(confinement.temporary.parent))

    def explain(self, output: str) -> str:
        """Return an error message for the launcher's output."""
        return f"no command can be sandboxed: {output or 'the launcher ended without a word'}"

    @contextmanager
    def _channel(self, wanted: bool) -> Iterator[CallbackChannel | None]:
        """Open a callback channel on the host's loopback, if wanted."""
        if not wanted:
            yield None
            return
        channel = CallbackChannel.open(self.interpreter.command(self.programs.relay))
        assert channel.listener
        with closing(channel.listener):
            yield channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Landlock(_Supervised):
    """The tier that restricts paths and ports by Landlock and system calls by a filter.

    Other processes of this machine stay visible.
    """

    abi: int

    name: ClassVar[TierName] = "landlock"
    gaps: ClassVar[Gaps] = {**dict.fromkeys(_LANDLOCK_GAPS, Machines.ALL), _SIGNAL_GAP: Machines.OLD_LINUX}
    refuses_root: ClassVar[str | None] = (
        "Landlock alone does not hold root, who may read the secrets of every process; run as an ordinary user"
    )

    @classmethod
    async def find(cls, interpreter: Interpreter, scratch: Scratch, programs: Programs = INSTALLED) -> Self:
        """Return the tier for this machine, not tested yet.

        Raises RemitError (SANDBOX_UNAVAILABLE) if the kernel's Landlock is missing or too old.
        """
        abi = landlock.abi()
        if abi < landlock.OLDEST_ABI:
            raise _unavailable("this kernel has no Landlock, or one that does not hold; it takes Linux 6.2 or newer")
        return cls(interpreter=interpreter, scratch=scratch, programs=programs, abi=abi)

    @asynccontextmanager
    async def confined(self, policy: SandboxPolicy, _left: list[str]) -> AsyncIterator[Confinement]:
        """Grant the paths that the namespaces tier mounts, and private folders that are deleted after the block.

        Raises RemitError (SANDBOX_UNAVAILABLE) if a path to hide lies in a granted folder, or the kernel is too old
        for an allowlist of hosts.
        """
        if policy.exposed:
            raise _unavailable(
                f"{policy.exposed[0]}, which this server keeps for itself, lies in a folder that the command is given; "
                "hiding it takes bubblewrap"
            )
        calls_back = policy.calls_back and policy.network != "none"  # Landlock would allow its port on every host
        with _gateway(policy, self.abi) as gateway, self._channel(calls_back) as channel:
            async with self.scratch.private_folders() as (home, temporary):
                yield Confinement(
                    home=policy.home or home,
                    temporary=temporary,
                    private=(home, temporary),
                    neighbours=process_tree.threads_of_machine(),
                    ruleset=self._ruleset(policy, (policy.home or home, temporary), _ports(gateway, channel)),
                    program=seccomp.program(_sockets(policy), shares_host=True),
                    gateway=gateway,
                    channel=channel,
                )

    def _ruleset(self, policy: SandboxPolicy, private: tuple[Path, ...], ports: tuple[int, ...]) -> Ruleset | None:
        connected = policy.network == "full"
        settings = (*host_paths.SETTINGS, *(host_paths.NETWORK_SETTINGS if connected else ()))
        readable = (
            host_paths.PROGRAMS,
            *host_paths.ROOTS,
            *settings,
            Path("/proc"),
            *self.interpreter.folders,
            *policy.readable,
            policy.workspace,
            *((self.programs.relay,) if policy.calls_back else ()),
        )
        writable = private if policy.access == "read-only" else (policy.workspace, *private)
        granted = landlock.grants(read=readable, write=writable, use=host_paths.DEVICES)
        return landlock.ruleset(self.abi, granted, ports=None if connected else ports)


@dataclass(frozen=True, slots=True, kw_only=True)
class Off(_Supervised):
    """The tier without confinement: limits apply, and the supervisor ends the whole process tree."""

    name: ClassVar[TierName] = "off"
    gaps: ClassVar[Gaps] = dict.fromkeys(_OFF_GAPS, Machines.ALL)
    refuses_root: ClassVar[str | None] = None

    @classmethod
    async def find(cls, interpreter: Interpreter, scratch: Scratch, programs: Programs = INSTALLED) -> Self:
        """Return the tier, which every machine has."""
        return cls(interpreter=interpreter, scratch=scratch, programs=programs)

    @asynccontextmanager
    async def confined(self, policy: SandboxPolicy, _left: list[str]) -> AsyncIterator[Confinement]:
        """Make private folders, which are deleted after the block; confine nothing."""
        with self._channel(policy.calls_back) as channel:
            async with self.scratch.private_folders() as (home, temporary):
                yield Confinement(
                    home=policy.home or home,
                    temporary=temporary,
                    private=(home, temporary),
                    neighbours=process_tree.threads_of_machine(),
                    ruleset=None,
                    program=None,
                    channel=channel,
                )


@contextmanager
def _gateway(policy: SandboxPolicy, abi: int) -> Iterator[Gateway | None]:
    """Open the proxy's port on the host's loopback, if the policy has an allowlist of hosts.

    Raises RemitError (SANDBOX_UNAVAILABLE) if Landlock cannot restrict the command to that port.
    """
    if policy.hosts is None:
        yield None
        return
    if abi < landlock.NETWORK_ABI:
        raise _unavailable("in this tier a network by name takes Linux 6.7 or newer")
    gateway = Gateway.open()
    assert gateway.listener
    with gateway.listener:
        yield gateway


def _ports(*ways: Gateway | CallbackChannel | None) -> tuple[int, ...]:
    return tuple(way.port for way in ways if way)


def _sockets(policy: SandboxPolicy) -> seccomp.Rules:
    if policy.hosts is not None:
        return seccomp.tcp_clients()
    return seccomp.families(*((AF_INET, AF_INET6) if policy.network == "full" else ()))


def _unavailable(reason: str) -> RemitError:
    return RemitError(Code.SANDBOX_UNAVAILABLE, reason)
