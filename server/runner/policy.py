"""The records that callers exchange with the runner: a command, its limits, its policy and its exit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from server.errors import Code, RemitError
from server.limits import GIB, MIB
from server.runner.network.hosts import HostRule
from server.runner.scanning.places import SensitivePath

# A mount on or above one of these would hide folders that the sandbox itself needs.
_SYSTEM_FOLDERS = tuple(map(Path, ("/usr", "/etc", "/proc", "/dev", "/tmp", "/run", "/home")))  # noqa: S108


Network = Literal["none", "full"] | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Resource limits of one command with every process that it starts."""

    memory_bytes: int = 4 * GIB
    """Memory of the whole tree, and private memory of each process. Agents that compile as they run (Bun, V8)
    fail to start below 2 GiB; this is twice that."""

    processes: int = 512
    """Processes and threads of the whole tree: a headless browser or a parallel build takes about half of it."""

    open_files: int = 4096
    """Descriptors of each process: four times the customary soft limit, for bundlers that open whole projects."""

    file_bytes: int = 2 * GIB
    """Size of each file it writes: above any package archive, below what fills a disk at once."""

    tmp_bytes: int = 512 * MIB
    """Size of each private folder that lies in memory: /tmp, HOME and /dev/shm."""

    workspace_bytes: int = 10 * GIB
    """Size of everything in the workspace: a large project with its packages."""

    free_bytes: int = 256 * MIB
    """What each disk that it writes to must keep free, for the server's own records and for cleaning up."""

    cpu_seconds: int = 3600
    """Processor time of the whole tree, in seconds: an hour on one core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxPolicy:
    """The folder a command works in, and the paths, hosts and resources it may use."""

    workspace: Path
    """The folder it works in, at the same path inside. Besides `home`, no other folder outside can be written."""

    folder: Path | None = None
    """Working directory, within the workspace; None for the workspace itself."""

    access: Literal["read-write", "read-only"] = "read-write"
    """Access to the workspace; not enforced by the tier `off`."""

    owner: Literal["task", "user"] = "task"
    """Whose folder the workspace is. A user's folder is not measured, and files at its top that other tools would
    execute are protected even if it is no repository."""

    home: Path | None = None
    """A HOME that is kept after the command, at the same path inside; None for a temporary one."""

    readable: tuple[Path, ...] = ()
    """Further files and folders it may read, at the same path. One inside the workspace or `home` is read-only."""

    pinned: tuple[Path, ...] = ()
    """The folders among those above, named without links, that another task could replace by a link. Each is checked
    again after it was mounted, when no task can change it any more."""

    hidden: tuple[Path, ...] = ()
    """Paths that the command must not see, even inside the folders above: the server's own files."""

    network: Network = "none"
    """No network, everything that this machine can reach, or only these hosts, each as `HostRule.parse` reads it."""

    hooks: Literal["read-only", "writable"] = "read-only"
    """Access to files in the workspace's repositories that other tools would execute; only the tier `namespaces` can
    make them read-only."""

    first: tuple[SensitivePath, ...] = ()
    """Repositories and sockets in the workspace to protect before others: the number of protected paths is limited."""

    calls_back: bool = False
    """Whether it gets a callback channel to the server, if the tier can offer one."""

    limits: Limits = field(default_factory=Limits)

    @property
    def hosts(self) -> tuple[HostRule, ...] | None:
        """The allowed hosts; None if `network` is no list of hosts. Raises RemitError (VALIDATION_ERROR)."""
        return None if isinstance(self.network, str) else tuple(map(HostRule.parse, self.network))

    @property
    def written(self) -> tuple[Path, ...]:
        """The folders outside the sandbox that it may write to."""
        workspace = (self.workspace,) if self.access == "read-write" else ()
        return (*workspace, *((self.home,) if self.home else ()))

    @property
    def exposed(self) -> tuple[Path, ...]:
        """The existing paths of `hidden` that lie inside folders the command can see."""
        given = (self.workspace, *self.readable, *((self.home,) if self.home else ()))
        return tuple(path for path in self.hidden if path.exists() and any(map(path.is_relative_to, given)))

    def check(self) -> None:
        """Raise RemitError (VALIDATION_ERROR) unless every path exists and may be granted, and every host is valid."""
        _ = self.hosts
        if not self.workspace.is_dir():
            raise _refused("workspace", self.workspace, "must be an existing folder")
        if self.folder and not (self.folder.is_dir() and self.folder.is_relative_to(self.workspace)):
            raise _refused("workspace", self.folder, "must be an existing folder")
        given = [("workspace", self.workspace), *(("readable", path) for path in self.readable)]
        for name, path in (*given, *([("home", self.home)] if self.home else [])):
            if not path.is_absolute() or not path.exists():
                raise _refused(name, path, "must exist, and be named by its absolute path")
            try:
                resolved = path.resolve()
            except (OSError, RuntimeError):  # a link that is being changed
                raise _refused(name, path, "leads elsewhere by now") from None
            if any(folder.is_relative_to(resolved) for folder in _SYSTEM_FOLDERS):
                raise _refused(name, path, "holds parts of the system; choose a folder of its own")


ATTACHED = 197
"""Number of the attached descriptor in the command: one that scripts are unlikely to use themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program with its arguments and its environment, secrets included."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    attached: int | None = None
    """A descriptor of this process that the command gets as number ATTACHED."""

    def check(self) -> None:
        """Raise RemitError (EXECUTION_ERROR) if the kernel could not start this command."""
        if not self.argv:
            raise RemitError(Code.EXECUTION_ERROR, "there is no command to run")
        for text in (*self.argv, *(f"{name}={value}" for name, value in self.env.items())):
            _check_string(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """The end of a command."""

    status: int
    """0 to 255; 128 + N when signal N ended it."""

    seconds: float
    """From its start until its last process had ended."""

    limit: str | None
    """The limit that ended it, as a phrase for users; None if it ended by itself."""


LONGEST_STRING = 128 * 1024 - 1
"""Bytes of one argument or variable: MAX_ARG_STRLEN in linux/binfmts.h is 32 pages, with the closing NUL."""


def _check_string(text: str) -> None:
    if "\0" in text:
        raise RemitError(Code.EXECUTION_ERROR, "an argument or environment value contains a NUL character; remove it")
    try:
        length = len(text.encode(errors="surrogateescape"))
    except UnicodeEncodeError:
        raise RemitError(
            Code.EXECUTION_ERROR, "an argument or environment value holds half of a character; remove it"
        ) from None
    if length > LONGEST_STRING:
        raise RemitError(
            Code.EXECUTION_ERROR,
            "an argument or environment value is longer than 128 KiB, the kernel's limit; put it into a file instead",
        )


def _refused(name: str, path: Path, reason: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, f"{name} {path} {reason}", field=name)
