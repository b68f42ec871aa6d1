"""The files that a task has written: safe listing and reading, as an adversary may have made them."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.errors import Code, RemitError
from server.runner.filesystem.safe_open import open_beneath, open_folder, reached

MOST_ENTRIES = 20_000
"""Names read for one listing: about 100 ms."""

MOST_DEPTH = 64
"""Levels of folders; each level needs an open descriptor."""

_HIDDEN = frozenset({".git"})


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file: its path relative to the folder, its size in bytes, and its mtime in microseconds since the epoch."""

    path: str
    size: int
    modified_at: int


@dataclass(frozen=True, slots=True)
class ArtifactListing:
    """The files of a folder, sorted by path; `partial` if a limit was reached."""

    files: list[Artifact]
    partial: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file with the requested margin before and after them, the file's size, and its mtime in microseconds
    since the epoch."""

    before: bytes
    content: bytes
    after: bytes
    size: int
    modified_at: int


def list_artifacts(folder: Path) -> ArtifactListing:
    """List the regular files in a folder, without those in `.git` and those with several hard links. Blocks.

    Symlinks are followed neither in the folder nor on the path to it. Raises RemitError (NOT_FOUND) if it is gone.
    """
    budget = _EntryBudget(MOST_ENTRIES)
    try:
        with reached(folder) as top:
            files = list(_files(".", top, "", MOST_DEPTH, budget))
    except OSError:
        raise _gone() from None
    return ArtifactListing(sorted(files, key=lambda file: file.path), budget.is_spent)


def read_artifact(folder: Path, name: str, offset: int, length: int, margin: int) -> Piece:
    """Read `length` bytes of a file from byte `offset` on, with `margin` bytes more on either side. Blocks.

    Raises what `open_beneath` raises; NOT_FOUND also for files in `.git` and for a folder behind a symlink.
    """
    if _HIDDEN.intersection(name.split("/")):
        raise RemitError(Code.NOT_FOUND, f"{name!r} does not exist")
    try:
        with reached(folder) as top:
            fd = open_beneath(top, name)
    except OSError:
        raise _gone() from None
    try:
        status = os.fstat(fd)
        start = max(0, offset - margin)
        data = _pread(fd, offset + length + margin - start, start)
    finally:
        os.close(fd)
    before, rest = data[: offset - start], data[offset - start :]
    return Piece(before, rest[:length], rest[length:], status.st_size, status.st_mtime_ns // 1000)


def _gone() -> RemitError:
    return RemitError(Code.NOT_FOUND, "the task's folder is not there")


class _EntryBudget:
    def __init__(self, entries: int) -> None:
        self._left = entries
        self.is_spent = False

    def take(self) -> bool:
        self._left -= 1
        self.is_spent |= self._left < 0
        return not self.is_spent


def _files(folder: str, parent: int, prefix: str, depth: int, budget: _EntryBudget) -> Iterator[Artifact]:
    with _opened(folder, parent) as fd:
        names = sorted(_names(fd, budget))
        for name in names:
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                    yield Artifact(prefix + name, status.st_size, status.st_mtime_ns // 1000)
                elif stat.S_ISDIR(status.st_mode) and depth == 0:
                    budget.is_spent = True
                elif stat.S_ISDIR(status.st_mode):
                    yield from _files(name, fd, f"{prefix}{name}/", depth - 1, budget)
            except OSError:
                continue  # removed meanwhile, or not readable


def _names(fd: int, budget: _EntryBudget) -> Iterator[str]:
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.name in _HIDDEN:
                continue
            if not budget.take():
                return
            yield entry.name


@contextmanager
def _opened(folder: str, parent: int) -> Iterator[int]:
    fd = open_folder(folder, parent)
    try:
        yield fd
    finally:
        os.close(fd)


def _pread(fd: int, length: int, offset: int) -> bytes:
    data = bytearray()
    while len(data) < length and (chunk := os.pread(fd, length - len(data), offset + len(data))):
        data += chunk
    return bytes(data)
