"""Opening of files in a folder that an adversary writes, without leaving the folder.

A path is walked one component at a time: each is opened relative to the previous one, and none through a symlink.
Whatever is swapped or renamed meanwhile, the walk stays beneath the folder in which it started.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from server.errors import Code, RemitError

CHUNK_BYTES = 1024**2


def leads_to(path: Path, plain: Path) -> bool:
    """Return whether `path` resolves to `plain`. With the same path twice: whether it contains no symlink."""
    try:
        return path.resolve() == plain
    except (OSError, RuntimeError, ValueError):
        return False


def open_beneath(folder: Path | int, name: str) -> int:
    """Open a file that an agent made, for reading; the caller closes the descriptor.

    `name` is relative to `folder`, a path or a descriptor of it. Only a regular file with one name is opened: a hard
    link could be the second name of a file outside. Never blocks, and never opens a device or a FIFO even to look at
    it.

    Raises RemitError: NOT_FOUND where there is no such file, else VALIDATION_ERROR; both name the path.
    """
    fd = open_regular(folder, name)
    if os.fstat(fd).st_nlink > 1:
        os.close(fd)
        raise _refused(name, "has several hard links; make a copy and read that")
    return fd


def open_regular(folder: Path | int, name: str) -> int:
    """Open a regular file as `open_beneath` does, but allow hard links: for the user's own folders."""
    *parents, last = _components(name)
    try:
        with deepest(folder, parents) as (parent, depth):
            if depth < len(parents):
                raise FileNotFoundError
            return _open_last(last, parent, name)
    except FileNotFoundError:
        raise RemitError(Code.NOT_FOUND, f"{name!r} does not exist") from None
    except NotADirectoryError:
        raise _refused(name, "leads through something that is not a folder; symlinks are not followed") from None
    except PermissionError:
        raise _refused(name, "may not be read; change its mode first") from None
    except BlockingIOError:
        raise _refused(name, "is held by another program; try again later") from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise _refused(name, "is longer than a name can be") from None


def read_beneath(folder: Path, name: str, *, offset: int = 0, limit: int) -> bytes:
    """Return at most `limit` bytes of a file that an agent made, from byte `offset` on; fewer at its end.

    Raises what `open_beneath` raises.
    """
    return _read(open_beneath(folder, name), offset, limit)


def read_regular(folder: Path, name: str, *, limit: int) -> bytes:
    """Return a whole file in a user's folder; hard links are allowed.

    Raises what `open_regular` raises, and RemitError (VALIDATION_ERROR) for a file of more than `limit` bytes.
    """
    content = _read(open_regular(folder, name), 0, limit + 1)
    if len(content) > limit:
        raise _refused(name, f"is larger than {limit} bytes")
    return content


@contextmanager
def deepest(folder: Path | int, parts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Descend from `folder` along `parts` as far as they exist; yield the descriptor reached and the number of parts.

    Raises NotADirectoryError at anything but a folder, a symlink to one included.
    """
    fd, depth = open_folder(folder) if isinstance(folder, Path) else open_folder(".", folder), 0
    try:
        for part in parts:
            try:
                below = open_folder(part, dir_fd=fd)
            except FileNotFoundError:
                break
            os.close(fd)
            fd, depth = below, depth + 1
        yield fd, depth
    finally:
        os.close(fd)


def open_folder(path: str | Path, dir_fd: int | None = None) -> int:
    """Open a folder, not a symlink to one; the caller closes the descriptor."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)


@contextmanager
def reached(folder: Path) -> Iterator[int]:
    """Yield a descriptor of a folder (O_PATH, so that it cannot be listed), opened without following any symlink.

    Its parents need search permission only. Raises OSError.
    """
    fd = os.open(folder.anchor, os.O_PATH | os.O_DIRECTORY)
    try:
        for part in folder.parts[1:]:
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def identity(folder: Path) -> tuple[int, int]:
    """Return device and inode of a folder, without following any symlink. Raises OSError."""
    with reached(folder) as fd:
        status = os.fstat(fd)
    return status.st_dev, status.st_ino


def replace_text(file: Path, text: str, suffix: str) -> None:
    """Write a file anew: after a crash it has all of `text`, or what it had before. Raises OSError.

    The text is written to a file named with `suffix` first. Not for folders that a task can write.
    """
    new = file.with_name(f"{file.name}{suffix}")
    with new.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Flush the directory entries of `folder` to disk (fsync)."""
    fd = open_folder(folder)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def pinned(name: str, dir_fd: int) -> Iterator[tuple[str, os.stat_result]]:
    """Pin the file that `name` is now, without opening it; yield a path to exactly this file, and its status.

    A symlink is pinned itself, not its target. Raises OSError.
    """
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=dir_fd)
    try:
        yield f"/proc/self/fd/{fd}", os.fstat(fd)
    finally:
        os.close(fd)


def _read(fd: int, offset: int, limit: int) -> bytes:
    """Read a file, and close it."""
    found = bytearray()
    try:
        while chunk := os.pread(fd, min(CHUNK_BYTES, limit - len(found)), offset + len(found)):
            found += chunk
    finally:
        os.close(fd)
    return bytes(found)


def _open_last(last: str, parent: int, name: str) -> int:
    # Opening a device can act on it and opening a FIFO can wake its writer, so look before opening.
    with pinned(last, parent) as (path, status):
        if not stat.S_ISREG(status.st_mode):
            raise _refused(name, "is not a regular file; symlinks are not followed")
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # O_NONBLOCK also does not wait for a lease


def _components(name: str) -> list[str]:
    parts = name.split("/")
    if {"", ".", ".."}.intersection(parts):
        raise _refused(name, "must be a relative path without '.', '..' or empty parts")
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        raise _refused(name, "cannot be the name of a file") from None
    if b"\0" in encoded:
        raise _refused(name, "must not contain a NUL character")
    return parts


def _refused(name: str, why: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, f"{name!r} {why}")
