"""What a task has written: its files listed and read, though an adversary may have made them."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.errors import Code, RemitError
from server.runner.filesystem.safe_open import open_beneath, open_folder, reached

MOST_ENTRIES = 20_000
"""Names that are looked at for one list: some 100 ms."""

MOST_DEPTH = 64
"""Levels of folders; each takes a descriptor while it is looked through."""

_HIDDEN = frozenset({".git"})


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file: its path relative to the folder, its size in bytes, its time in microseconds since the epoch."""

    path: str
    size: int
    modified_at: int


@dataclass(frozen=True, slots=True)
class ArtifactListing:
    """The files of a folder in the order of their paths, and whether there were more than are looked at."""

    files: list[Artifact]
    partial: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file with what stands before and after them, as far as was asked for, and the file's size."""

    before: bytes
    content: bytes
    after: bytes
    size: int
    modified_at: int


def list_artifacts(folder: Path) -> ArtifactListing:
    """Look through a folder for regular files with one name, those of git left out; links are not followed. Blocks.

    Nor are they on the way to the folder. Raises RemitError (NOT_FOUND) where it is gone.
    """
    budget = _EntryBudget(MOST_ENTRIES)
    try:
        with reached(folder) as top:
            files = list(_files(".", top, "", MOST_DEPTH, budget))
    except OSError:
        raise _gone() from None
    return ArtifactListing(sorted(files, key=lambda file: file.path), budget.is_spent)


def read_artifact(folder: Path, name: str, offset: int, length: int, margin: int) -> Piece:
    """Read `length` bytes of a file from byte `offset` on, with `margin` more on either side. Blocks.

    Raises what `open_beneath` raises; what belongs to git is not found, nor is a folder behind a link.
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
                continue  # it is gone by now, or closed to us


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
