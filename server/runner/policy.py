"""What a command may do, and what came of it: the words between the runner and those who use it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from server.errors import Code, RemitError
from server.runner.network.hosts import HostRule
from server.runner.scanning.places import SensitivePath

MIB = 1024**2
GIB = 1024**3

LOCKS_GAP = "A command can lock (flock) files that it may only read, and so hold up programs that wait for those locks."
OWN_FOLDER_GAP = (
    "The folder of a task's own, in the state folder, is not looked at after a command: your own git, or an editor, "
    "would execute there what the task has left for it; `remit artifacts` only reads."
)

# Mounting something on or above one of these would bury what the sandbox itself is made of.
_SYSTEM_FOLDERS = tuple(map(Path, ("/usr", "/etc", "/proc", "/dev", "/tmp", "/run", "/home")))  # noqa: S108


Network = Literal["none", "full"] | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one command, with every process it starts, may use."""

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
    """What each disk that it writes to must keep free: room for the server's own records, and for whoever tidies up."""

    cpu_seconds: int = 3600
    """Processor time of the whole tree: an hour on one core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxPolicy:
    """Where a command works and what it may reach."""

    workspace: Path
    """The folder it works in, and the only one outside that it may write to. Its path inside is the same."""

    folder: Path | None = None
    """Where in the workspace it starts; None for its top."""

    access: Literal["read-write", "read-only"] = "read-write"
    """What it may do in the workspace, where the tier confines at all."""

    owner: Literal["task", "user"] = "task"
    """Whose folder the workspace is. What a user has is not measured, and what other tools would execute is protected
    at its top even where that is no repository."""

    home: Path | None = None
    """A HOME that outlives the command, at the same path inside; None for one that ends with it."""

    readable: tuple[Path, ...] = ()
    """Further files and folders it may read, at the same path. One that lies in the workspace, or in a HOME that
    outlives the command, is read-only there."""

    pinned: tuple[Path, ...] = ()
    """Those folders of the above, named without links, that another task could have replaced by a link: that each is
    what it is called is looked at once more when nothing can change it for the command."""

    hidden: tuple[Path, ...] = ()
    """What the command sees nothing of, though it lie in one of these: the server's own files."""

    network: Network = "none"
    """Nothing, everything this machine can reach, or these hosts, in the words of `HostRule.parse`."""

    hooks: Literal["read-only", "writable"] = "read-only"
    """What other tools would execute in the workspace's repositories; read-only where the tier can hold that."""

    first: tuple[SensitivePath, ...] = ()
    """Repositories and sockets in the workspace that are protected before others that are found there."""

    calls_back: bool = False
    """Whether it has a callback channel to the server, where the tier can hold one."""

    limits: Limits = field(default_factory=Limits)

    @property
    def hosts(self) -> tuple[HostRule, ...] | None:
        """The hosts it may reach, where these are given by name. Raises VALIDATION_ERROR."""
        return None if isinstance(self.network, str) else tuple(map(HostRule.parse, self.network))

    @property
    def written(self) -> tuple[Path, ...]:
        """The folders outside of the sandbox that it may write to."""
        workspace = (self.workspace,) if self.access == "read-write" else ()
        return (*workspace, *((self.home,) if self.home else ()))

    @property
    def exposed(self) -> tuple[Path, ...]:
        """What of `hidden` lies in something that the command is given."""
        given = (self.workspace, *self.readable, *((self.home,) if self.home else ()))
        return tuple(path for path in self.hidden if path.exists() and any(map(path.is_relative_to, given)))

    def check(self) -> None:
        """Raise VALIDATION_ERROR unless every path exists and may be given to a command, and every host is one."""
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
            except (OSError, RuntimeError):  # links that somebody changes just now
                raise _refused(name, path, "leads elsewhere by now") from None
            if any(folder.is_relative_to(resolved) for folder in _SYSTEM_FOLDERS):
                raise _refused(name, path, "holds parts of the system; choose a folder of its own")


ATTACHED = 197
"""The descriptor that a command finds what is attached to it as: one that no script is likely to use for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program with its arguments, and the whole environment it was given, secrets included."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    attached: int | None = None
    """A descriptor of this process that the command is to have, as ATTACHED, beside its input and output."""

    def check(self) -> None:
        """Raise EXECUTION_ERROR if the kernel could not start this."""
        if not self.argv:
            raise RemitError(Code.EXECUTION_ERROR, "there is no command to run")
        for text in (*self.argv, *(f"{name}={value}" for name, value in self.env.items())):
            _check_string(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a command ended."""

    status: int
    """0 to 255; 128 + N when signal N ended it."""

    seconds: float
    """From its start until nothing of it was left."""

    limit: str | None
    """The limit that ended it, in words for a person; None if it ended by itself."""


LONGEST_STRING = 128 * 1024 - 1
"""Bytes of one argument or variable: MAX_ARG_STRLEN in linux/binfmts.h is 32 pages, the closing NUL included."""


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
