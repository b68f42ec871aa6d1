"""Tar archives of task folders.

The contents were written by an adversary, who may still be writing: everything is opened relative to its folder, and
nothing through a symlink. Unpacking writes in the same way. Every function blocks.
"""

import os
import stat
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from gzip import BadGzipFile
from io import FileIO
from pathlib import Path
from tarfile import DIRTYPE, REGTYPE, SYMTYPE, TarError, TarFile, TarInfo
from typing import IO

from server.daemon.paths import DATABASE
from server.errors import Code, RemitError
from server.runner.filesystem.safe_open import CHUNK_BYTES, deepest, open_folder, pinned

FOLDERS = ("workspaces", "homes")
"""Folders in the state folder with one folder for each task."""

MOST_DEPTH = 200
"""Levels of folders that are packed: each takes a descriptor meanwhile."""

SHOWN = 20
"""Names of skipped files that are reported."""

_PERMISSIONS = 0o777  # what else there is of a mode (setuid and the like) is not kept


@dataclass(slots=True)
class SkippedFiles:
    """Files that could not be archived: the first names, each with the reason, and the number of all."""

    names: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, name: str, why: str) -> None:
        """Add one more."""
        self.count += 1
        if self.count <= SHOWN:
            self.names.append(f"{name}: {why}")


def pack(tar: TarFile, state: Path, tasks: Collection[str], left_out: SkippedFiles) -> int:
    """Pack the folders of these tasks; returns the number of tasks that have one."""
    packed = set()
    for name in FOLDERS:
        with _listed(state, name) as (fd, found):
            for task_id in sorted(found.intersection(tasks)):
                _pack_entry(tar, task_id, fd, f"{name}/{task_id}", MOST_DEPTH, left_out)
                packed.add(task_id)
    return len(packed)


def unpack(tar: TarFile, stage: Path, left_out: SkippedFiles) -> None:
    """Unpack an archive into the folder `stage`.

    Raises RemitError (VALIDATION_ERROR) for an archive that is damaged or not written by remit, OSError if the disk is
    full or fails.
    """
    modes: list[tuple[list[str], int]] = []
    for member in members(tar):
        parts = member.name.split("/")
        try:
            with deepest(stage, parts[:-1]) as (parent, depth):
                if depth < len(parts) - 1:
                    raise FileNotFoundError
                _unpack_entry(tar, member, parts[-1], parent)
        except (FileExistsError, FileNotFoundError, NotADirectoryError):  # renamed by the task while it was packed
            left_out.add(member.name, "it is in the backup twice, or without its folder")
        else:
            if member.isdir():
                modes.append((parts, member.mode & _PERMISSIONS))
    for parts, mode in reversed(modes):
        with deepest(stage, parts) as (folder, _):
            os.fchmod(folder, mode)


def members(tar: TarFile) -> Iterator[TarInfo]:
    """Yield all members of an archive, each with a name that stays within it.

    Raises RemitError (VALIDATION_ERROR) for an archive that is damaged or not written by remit.
    """
    with damage_told():
        for member in tar:
            parts = member.name.split("/")
            is_ours = member.name == DATABASE or (parts[0] in FOLDERS and not {"", ".", ".."}.intersection(parts))
            if not is_ours or member.type not in (REGTYPE, DIRTYPE, SYMTYPE):
                raise RemitError(Code.VALIDATION_ERROR, f"the archive holds {member.name!r}: it is no backup of remit")
            yield member


@contextmanager
def damage_told() -> Iterator[None]:
    """Raise RemitError (VALIDATION_ERROR) for read errors of an archive within the block."""
    try:
        yield
    except (TarError, BadGzipFile, EOFError, zlib.error) as error:
        raise RemitError(Code.VALIDATION_ERROR, f"the archive is damaged: {error}") from None


@contextmanager
def _listed(state: Path, name: str) -> Iterator[tuple[int, set[str]]]:
    """Open the folder of this name and list it; the state folder itself, and nothing, if it does not exist."""
    with deepest(state, [name]) as (fd, depth):
        yield fd, set(os.listdir(fd)) if depth else set()


def _pack_entry(tar: TarFile, name: str, parent: int, path: str, depth: int, left_out: SkippedFiles) -> None:
    try:
        with _readable():
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            _pack_folder(tar, name, parent, path, depth, left_out)
        elif stat.S_ISLNK(status.st_mode):
            member = _member(path, status, SYMTYPE)
            with _readable():
                member.linkname = os.readlink(name, dir_fd=parent)
            tar.addfile(member)
        elif stat.S_ISREG(status.st_mode):
            _pack_file(tar, name, parent, path, left_out)
        else:
            left_out.add(path, "neither a file, a folder nor a link")
    except _UnreadableArchive as error:
        left_out.add(path, error.why)


def _pack_folder(tar: TarFile, name: str, parent: int, path: str, depth: int, left_out: SkippedFiles) -> None:
    if depth == 0:
        raise _UnreadableArchive(f"more than {MOST_DEPTH} levels of folders")
    with _readable():
        fd = open_folder(name, parent)
    try:
        tar.addfile(_member(path, os.fstat(fd), DIRTYPE))
        for below in sorted(os.listdir(fd)):
            _pack_entry(tar, below, fd, f"{path}/{below}", depth - 1, left_out)
    finally:
        os.close(fd)


def _pack_file(tar: TarFile, name: str, parent: int, path: str, left_out: SkippedFiles) -> None:
    with _readable(), pinned(name, parent) as (held, status):
        if not stat.S_ISREG(status.st_mode):
            raise _UnreadableArchive("it was replaced meanwhile")
        fd = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    with open(fd, "rb", buffering=0) as file:
        status = os.fstat(fd)
        member = _member(path, status, REGTYPE)
        member.size = status.st_size
        steady = _PaddedFile(file)
        tar.addfile(member, steady)
        if steady.is_short:
            left_out.add(path, "it shrank while it was read; its end is zeros")


def _member(path: str, status: os.stat_result, kind: bytes) -> TarInfo:
    member = TarInfo(path)
    member.type = kind
    member.mode = stat.S_IMODE(status.st_mode) & _PERMISSIONS
    member.mtime = int(status.st_mtime)
    return member


class _UnreadableArchive(Exception):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@contextmanager
def _readable() -> Iterator[None]:
    """Report an OSError within the block as that of one entry, not of the archive being written."""
    try:
        yield
    except OSError as error:
        raise _UnreadableArchive(error.strerror or str(error)) from None


class _PaddedFile:
    """A file padded with zeros if it has shrunk since its size was written into the archive."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.is_short = False

    def read(self, size: int = 0, /) -> bytes:
        """Return the next `size` bytes."""
        data = bytearray()
        while len(data) < size and (more := self._file.read(size - len(data))):
            data += more
        self.is_short |= len(data) < size
        return bytes(data).ljust(size, b"\0")


def _unpack_entry(tar: TarFile, member: TarInfo, name: str, parent: int) -> None:
    if member.isdir():
        os.mkdir(name, 0o700, dir_fd=parent)
    elif member.issym():
        os.symlink(member.linkname, name, dir_fd=parent)
    else:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=parent)
        with open(fd, "wb") as file:
            source = tar.extractfile(member)
            assert source
            with damage_told():
                _write_sparse(source, file)
            os.fchmod(fd, member.mode & _PERMISSIONS)
            os.utime(fd, (member.mtime, member.mtime))


def _write_sparse(source: IO[bytes], file: IO[bytes]) -> None:
    """Copy a file, writing holes for long runs of zeros, since they may have been holes."""
    while chunk := source.read(CHUNK_BYTES):
        if chunk.strip(b"\0"):
            file.write(chunk)
        else:
            file.seek(len(chunk), os.SEEK_CUR)
    file.truncate()
