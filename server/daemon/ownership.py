"""Ownership of a state folder: the process that holds its locks, usually the server, and its purpose.

Standard library only: the pipe imports this.
"""

import fcntl
import os
import struct
from contextlib import suppress
from enum import IntEnum
from typing import NamedTuple, Self

from server.daemon.paths import StatePaths
from server.errors import Code, RemitError

_FLOCK = "hhqqi0q"  # struct flock of fcntl(2), as Python is compiled: with 64 bits for offsets

Identity = tuple[int, int]
"""The device and inode of a file: a file made anew under the same name has others."""


class Purpose(IntEnum):
    """The purpose of an ownership.

    Its number is the byte of `server.lock` at which the owner's lock begins; the lock reaches to the end of the file.
    So two owners always exclude each other, and the kernel, which drops the locks of dead processes, tells the purpose
    along with the pid.
    """

    SERVER = 0
    RESTORE = 1
    ADOPT = 2


_UPKEEP = {Purpose.RESTORE: "a restore", Purpose.ADOPT: "`remit server adopt`"}


class Owner(NamedTuple):
    """The process that owns a state folder."""

    pid: int
    purpose: Purpose

    @property
    def upkeep(self) -> str | None:
        """The message that the owner is not a server and must not be killed; None for a server."""
        if self.purpose is Purpose.SERVER:
            return None
        return f"{_UPKEEP[self.purpose]} is under way (process {self.pid}); wait until it has ended"


class UnderWay(RemitError):
    """A maintenance command is changing the state folder; no server can run meanwhile, and it must not be killed."""


class Owned(RemitError):
    """Another process owns the state folder, usually a server."""

    def __init__(self, paths: StatePaths) -> None:
        found = owner(paths)
        said = found and found.upkeep
        super().__init__(Code.CONFLICT, said or f"another server owns the state folder {paths.state}")


class Ownership:
    """Ownership of the state folder while the `with` lasts, by locks that the kernel releases if the process is killed.

    One lock is on the folder itself, so that it holds even if the file `server.lock` is deleted. That file has another
    one, for older servers that only know that, and a third that tells others who holds it.
    """

    def __init__(self, paths: StatePaths, purpose: Purpose = Purpose.SERVER) -> None:
        self.paths = paths
        self._purpose = purpose
        self._kept: dict[str, Identity] = {}

    def __enter__(self) -> Self:
        """Acquire the locks. Raises RemitError: `Owned`, or `FORBIDDEN` if the lock files cannot be made."""
        self._folder = _opened(self.paths, self.paths.state, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _lock(self.paths, self._folder)
            self._file = self._locked_file()
        except BaseException:
            os.close(self._folder)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # on a disk that has become read-only
            os.truncate(self._file, 0)
        os.close(self._file)
        os.close(self._folder)

    def keep(self, path: str) -> None:
        """Make `loss` check also that this existing file is still the same."""
        self._kept[path] = _identity(os.stat(path))

    def loss(self) -> str | None:
        """Return why the ownership is lost, in words; None while it holds. A missing `server.lock` is made anew."""
        if not _leads_to(self.paths.state, _identity(os.fstat(self._folder))):
            return f"the state folder {self.paths.state} was removed, or moved"
        for path, identity in self._kept.items():
            if not _leads_to(path, identity):
                return f"{path} was removed, or replaced"
        if not _leads_to(self.paths.server_lock, _identity(os.fstat(self._file))):
            return self._make_file_anew()
        return None

    def _make_file_anew(self) -> str | None:
        try:
            file = self._locked_file()
        except RemitError as error:
            return error.message if isinstance(error, Owned) else None  # on a full disk there may be room later
        os.close(self._file)
        self._file = file
        return None

    def _locked_file(self) -> int:
        """Return a descriptor of `server.lock`, with our locks, and our pid as its text."""
        file = _opened(self.paths, self.paths.server_lock, os.O_RDWR | os.O_CREAT)
        try:
            _lock(self.paths, file)
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 0, self._purpose)
            with suppress(OSError):  # a full disk: it is there for people
                os.truncate(file, 0)
                os.write(file, f"{os.getpid()}\n".encode())
        except BaseException:
            os.close(file)
            raise
        return file


def owner(paths: StatePaths) -> Owner | None:
    """Return the process that owns the state folder, as the kernel reports it; None if none is visible.

    A process in another pid namespace, as in a container, is not visible. Not for use in the owner's own process.
    """
    try:
        file = os.open(paths.server_lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        answer = fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
    finally:
        os.close(file)
    kind, _, start, _, pid = struct.unpack(_FLOCK, answer)
    return Owner(pid, Purpose(start)) if kind != fcntl.F_UNLCK and pid > 0 else None


def refuse_upkeep(paths: StatePaths) -> None:
    """Raise UnderWay (CONFLICT) while a command such as `remit restore` changes the state folder."""
    found = owner(paths)
    if found and found.upkeep:
        raise UnderWay(Code.CONFLICT, found.upkeep)


def _opened(paths: StatePaths, path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise paths.unusable(error) from error


def _lock(paths: StatePaths, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Owned(paths) from None
    except OSError as error:  # a file system without locks
        raise paths.unusable(error) from error


def _leads_to(path: str, identity: Identity) -> bool:
    try:
        return _identity(os.stat(path)) == identity
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # unknown on a failing disk


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino
