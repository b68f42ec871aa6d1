"""Which process owns a state folder, and what for: the one that holds its locks, mostly the server.

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
"""The device and the inode of a file: a file that is made anew under the same name has another one."""


class Purpose(IntEnum):
    """What a state folder is owned for.

    The number is the byte of `server.lock` that the owner's lock begins at, and it reaches to the end: so two of them
    always exclude each other, and the kernel, which forgets the locks of the dead, tells the purpose with the pid.
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
        """That it is no server, and must not be killed, in words; None of a server."""
        if self.purpose is Purpose.SERVER:
            return None
        return f"{_UPKEEP[self.purpose]} is under way (process {self.pid}); wait until it has ended"


class UnderWay(RemitError):
    """A command that changes the state folder is at work on it, which a server would not survive, nor it a kill."""


class Owned(RemitError):
    """Another process owns the state folder, mostly a server."""

    def __init__(self, paths: StatePaths) -> None:
        found = owner(paths)
        said = found and found.upkeep
        super().__init__(Code.CONFLICT, said or f"another server owns the state folder {paths.state}")


class Ownership:
    """The state folder is ours inside the `with`, by locks that the kernel takes back from a killed server.

    One is on the folder itself, so that it holds also where the file `server.lock` is deleted. That file has another
    one, for servers of before there was the first, and a third by which others are told who holds it.
    """

    def __init__(self, paths: StatePaths, purpose: Purpose = Purpose.SERVER) -> None:
        self.paths = paths
        self._purpose = purpose
        self._kept: dict[str, Identity] = {}

    def __enter__(self) -> Self:
        """Raises RemitError: `Owned`, or `FORBIDDEN` where the locks cannot be made."""
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
        """Have `loss` look also whether this file, which is there, is still the same."""
        self._kept[path] = _identity(os.stat(path))

    def loss(self) -> str | None:
        """Why we cannot go on as the owner, in words; None where we can. A missing `server.lock` is made anew."""
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
        """A descriptor of `server.lock`, with our locks and our pid in it."""
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
    """The process that owns the state folder, as the kernel knows it; None where there is none to be seen.

    One in another namespace of processes, as in a container, is not to be seen. Not for the owner's own process.
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
        return True  # on a disk that fails, nobody knows


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino
