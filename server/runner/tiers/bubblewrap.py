"""The namespaces tier: bubblewrap's command line, and advice for its error messages."""

import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Self

import anyio

from server.errors import Code, RemitError
from server.limits import MIB
from server.runner import host_paths
from server.runner.filesystem.walk import MOST_FOLDERS
from server.runner.network.callback import CallbackChannel
from server.runner.network.gateway import NAMES_GAP, Gateway
from server.runner.policy import SandboxPolicy
from server.runner.programs.copies import INSTALLED, Programs
from server.runner.scanning.protected import MOST_REPOSITORIES, OTHER_SYSTEMS, TOLD
from server.runner.scanning.sockets import NOT_COVERED, find_sockets
from server.runner.tiers import landlock, seccomp
from server.runner.tiers.gaps import LOCKS_GAP, OWN_FOLDER_GAP, Gaps, Machines
from server.runner.tiers.interpreter import Interpreter
from server.runner.tiers.plan import Confinement
from server.runner.tiers.scratch import Scratch
from server.tier_names import TierName

HOME = Path("/home/task")
TEMPORARY = Path("/tmp")  # noqa: S108 - a private tmpfs

_PROXY_PORT = 3128  # the customary port of proxies; always free in the command's own network namespace
_CALLBACK_PORT = 3129

_LAUNCHER_INSIDE = Path("/run/launcher.py")
_RELAY_INSIDE = Path("/run/relay.py")
_EMPTY = "empty"  # a file of the skeleton that is mounted over files to hide them

_ISOLATION = (
    # --unshare-all makes a user namespace for ordinary users only: root's command would be root outside, too
    *("--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--hostname", "task"),
    *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
)

_GAPS = (
    "The kernel is shared: a bug in it can be a way out.",
    "With network = full the command reaches everything this machine can, its own local services included.",
    NAMES_GAP,
    "In a repository, names that are symlinks, what git's settings name but a folder of hooks, what a command makes "
    "anew in folders of its own, for others that are at work there too, and repositories after the first "
    f"{MOST_REPOSITORIES} or in more than {MOST_FOLDERS:,} folders are not protected.",
    f"Files that tools execute or obey and that are part of a project's work can be written: {', '.join(TOLD)} and "
    "their like; an opencode.json can be made where there is none. In sub-folders that are no repository of git's, so "
    f"can all that is closed elsewhere, {', '.join(OTHER_SYSTEMS)} among it.",
    "What a command leaves in a folder of yours for git to execute (a repository with harmful settings or hooks, a "
    "rebase or cherry-pick that executes) is set aside once it has ended, or when the server starts again if it was "
    f"killed meanwhile. Until then, within git's own folders, and behind more than {MOST_FOLDERS:,} folders or very "
    "many names, which the task then tells, your own git would execute it; of what lies behind these, repositories "
    "that an index names are set aside too.",
    OWN_FOLDER_GAP,
    "A unix socket that another program makes in the task's folder while a command runs can be connected to, and so "
    f"can those behind more than {MOST_FOLDERS:,} folders or very many names, which the task then tells, or in what "
    "the setting readable names.",
    LOCKS_GAP,
)
_ROOT_GAP = "As root a command can change the mode of /dev/null and its like, which are this machine's own."
_ABSTRACT_GAP = (
    "With network = full the command reaches abstract unix sockets; keeping them apart takes Linux 6.12 or newer."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespaces:
    """The tier that puts a command into namespaces of its own, where only mounted files exist."""

    bwrap: Path
    disables_userns: bool
    """Whether bubblewrap has --disable-userns (0.8 and newer); otherwise the system call filter alone forbids it."""

    interpreter: Interpreter
    scratch: Scratch
    programs: Programs = INSTALLED
    landlock_abi: int

    name: ClassVar[TierName] = "namespaces"
    gaps: ClassVar[Gaps] = {
        **dict.fromkeys(_GAPS, Machines.ALL),
        _ROOT_GAP: Machines.AS_ROOT,
        _ABSTRACT_GAP: Machines.OLD_LINUX,
    }
    refuses_root: ClassVar[str | None] = None
    supervised: ClassVar[bool] = False

    @classmethod
    async def find(cls, interpreter: Interpreter, scratch: Scratch, programs: Programs = INSTALLED) -> Self:
        """Return the tier for this machine, not tested yet.

        Raises RemitError (SANDBOX_UNAVAILABLE) if bubblewrap is not installed.
        """
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise RemitError(Code.SANDBOX_UNAVAILABLE, _NOT_INSTALLED)
        usage = await anyio.run_process((bwrap, "--help"), check=False)
        return cls(
            bwrap=Path(bwrap),
            disables_userns=b"--disable-userns" in usage.stdout,
            interpreter=interpreter,
            scratch=scratch,
            programs=programs,
            landlock_abi=landlock.abi(),
        )

    def argv(self, policy: SandboxPolicy, confinement: Confinement) -> tuple[str, ...]:
        """Return bubblewrap's command line, which starts the launcher inside."""
        options = (*_ISOLATION, *self._sharing(policy), *self._mounts(policy, confinement))
        return (str(self.bwrap), *options, "--", *self.interpreter.command(_LAUNCHER_INSIDE))

    def explain(self, output: str) -> str:
        """Return an error message for the output of bubblewrap or the launcher, with advice if it is a known one."""
        advice = next((f" ({advice})" for pattern, advice in _ADVICE if re.search(pattern, output)), "")
        return f"no command can be sandboxed: {output or 'bubblewrap ended without a word'}{advice}"

    @asynccontextmanager
    async def confined(self, policy: SandboxPolicy, left: list[str]) -> AsyncIterator[Confinement]:
        """Prepare the protected paths, the sockets to cover, Landlock and the callback channel, for one command.

        Landlock repeats the limits of the mounts as a second barrier. With a shared network it is the only barrier to
        abstract unix sockets. `left` gets a sentence for each thing that was found or missed, for `Disarmed`.
        Raises RemitError (SANDBOX_UNAVAILABLE) if a path cannot be protected.
        """
        home = policy.home or HOME
        writable = (*_writable(policy), home, TEMPORARY, Path("/dev"))
        granted = landlock.grants(read=(Path("/"),), write=writable, use=(Path("/dev"),))
        async with self._protected(policy, left) as read_only:
            with self._channel(policy) as channel:
                yield Confinement(
                    home=home,
                    temporary=TEMPORARY,
                    neighbours=0,
                    read_only=read_only,
                    covered=await anyio.to_thread.run_sync(self._sockets, policy, left),
                    ruleset=landlock.ruleset(self.landlock_abi, granted, ports=None),
                    program=_filter(),
                    gateway=None if policy.hosts is None else Gateway(port=_PROXY_PORT),
                    channel=channel,
                )

    def _sockets(self, policy: SandboxPolicy, left: list[str]) -> tuple[Path, ...]:
        """Return the sockets to cover, known ones first; add a sentence to `left` if not all are covered. Blocks."""
        folders = _users_folders(policy)
        known = [place.path for place in policy.first if place.kind == "socket"]
        found = find_sockets(folders, set(folders).difference(_writable(policy)), known)
        left += [] if found.is_whole else [NOT_COVERED]
        return found.paths

    @contextmanager
    def _channel(self, policy: SandboxPolicy) -> Iterator[CallbackChannel | None]:
        """Open the channel in the command's own network namespace, or on the host's loopback if that is shared."""
        relay = self.interpreter.command(_RELAY_INSIDE)
        if not policy.calls_back:
            yield None
        elif policy.network != "full":
            yield CallbackChannel(port=_CALLBACK_PORT, relay=relay)
        else:
            channel = CallbackChannel.open(relay)
            assert channel.listener
            with closing(channel.listener):
                yield channel

    @asynccontextmanager
    async def _protected(self, policy: SandboxPolicy, left: list[str]) -> AsyncIterator[tuple[Path, ...]]:
        if policy.access == "read-only":
            yield ()
        elif policy.hooks == "writable":
            with self.scratch.unprotected(policy.workspace) as nothing:
                yield nothing
        else:
            is_theirs = policy.owner == "user"
            async with (
                self.scratch.protected(policy.workspace, at_top=is_theirs, first=policy.first) as paths,
                self.scratch.watched(policy.workspace, left) if is_theirs else nullcontext(),
            ):
                yield paths

    def _sharing(self, policy: SandboxPolicy) -> Iterator[str]:
        if self.disables_userns:
            yield "--disable-userns"
        if policy.network == "full":
            yield "--share-net"

    def _mounts(self, policy: SandboxPolicy, confinement: Confinement) -> Iterator[str]:
        yield from _system(policy, self.programs)
        for folder in self.interpreter.folders:
            yield from ("--ro-bind", str(folder), str(folder))
        yield from ("--proc", "/proc", "--dev", "/dev")
        for folder in (TEMPORARY, HOME, Path("/dev/shm")):  # noqa: S108
            yield from ("--size", str(policy.limits.tmp_bytes), "--tmpfs", str(folder))
        yield from _given(policy, confinement, self.programs)
        yield from ("--ro-bind", str(self.programs.launcher), str(_LAUNCHER_INSIDE))
        if policy.calls_back:
            yield from ("--ro-bind", str(self.programs.relay), str(_RELAY_INSIDE))
        # Both are in memory and have no size limit.
        yield from ("--remount-ro", "/dev", "--remount-ro", "/")
        if os.geteuid() == 0:  # root outside could change the kernel's settings in /proc/sys from inside
            yield from ("--remount-ro", "/proc")


@cache
def _filter() -> bytes:
    """Return the system call filter, which is the same for every command."""
    return seccomp.program(seccomp.families(*seccomp.EVERY_FAMILY), shares_host=False)


def _system(policy: SandboxPolicy, programs: Programs) -> Iterator[str]:
    yield from ("--ro-bind", str(host_paths.PROGRAMS), str(host_paths.PROGRAMS))
    for root in host_paths.ROOTS:
        if root.is_symlink():
            yield from ("--symlink", os.readlink(root), str(root))
        else:
            yield from ("--ro-bind-try", str(root), str(root))
    connected = policy.network == "full"
    for path in (*host_paths.SETTINGS, *(host_paths.NETWORK_SETTINGS if connected else ())):
        yield from ("--ro-bind-try", str(path), str(path))
    for name in ("passwd", "group", *(() if connected else ("hosts",))):
        yield from ("--ro-bind", str(programs.skeleton / name), f"/etc/{name}")


def _given(policy: SandboxPolicy, confinement: Confinement, programs: Programs) -> Iterator[str]:
    """Yield the mounts of the policy's paths, read-only and hidden ones included; outer folders first.

    A writable folder with a read-only path in it is mounted onto itself, so that the command cannot rename it and put
    another in its place.
    """
    writable = (*_writable(policy), *((policy.home,) if policy.home else ()))
    options = {policy.workspace: "--ro-bind"} | dict.fromkeys(writable, "--bind")
    paths = (*policy.readable, *confinement.read_only)
    for path in paths:
        above = (folder for folder in path.parents if any(map(folder.is_relative_to, writable)))
        options |= {folder: "--bind" for folder in above if not any(map(folder.is_relative_to, policy.exposed))}
    options |= dict.fromkeys(paths, "--ro-bind")
    mounts: dict[Path, tuple[str, ...]] = {path: (option, str(path), str(path)) for path, option in options.items()}
    mounts |= {path: _empty(path, programs) for path in (*policy.exposed, *confinement.covered)}
    for path in sorted(mounts, key=lambda path: len(path.parts)):
        yield from mounts[path]
    for path in policy.exposed:
        yield from ("--remount-ro", str(path))


def _empty(path: Path, programs: Programs) -> tuple[str, ...]:
    """Return a mount that hides a folder or a file. Later mounts inside the folder stay visible."""
    if path.is_dir():
        return ("--size", str(MIB), "--tmpfs", str(path))
    return ("--ro-bind", str(programs.skeleton / _EMPTY), str(path))


def _users_folders(policy: SandboxPolicy) -> tuple[Path, ...]:
    """Return the folders in which other programs of the user may have sockets."""
    return (*((policy.workspace,) if policy.owner == "user" else ()), *policy.pinned)


def _writable(policy: SandboxPolicy) -> tuple[Path, ...]:
    return () if policy.access == "read-only" else (policy.workspace,)


_NOT_INSTALLED = (
    "bubblewrap is not installed; install the package bubblewrap (Debian, Ubuntu: apt-get install bubblewrap)"
)

_ADVICE = (
    (
        r"setting up uid map: Permission denied|loopback: Failed RTM_NEWADDR",
        "AppArmor forbids user namespaces here; install an AppArmor profile for bubblewrap: on Ubuntu 24.04 copy "
        "/usr/share/apparmor/extra-profiles/bwrap-userns-restrict to /etc/apparmor.d (package apparmor-profiles) "
        "and reload AppArmor",
    ),
    (
        r"No permissions to creat\w+ (a )?new namespace|Creating new namespace failed|nesting depth",
        "user namespaces are turned off here; allow them (sysctl kernel.unprivileged_userns_clone=1 and "
        "user.max_user_namespaces above 0), or in a container start it with --security-opt seccomp=unconfined",
    ),
    (
        r"Can't mount proc on",
        "this container hides parts of /proc; start it with --security-opt systempaths=unconfined",
    ),
    (r"Unknown option", "this bubblewrap is too old; install version 0.6 or newer"),
)
