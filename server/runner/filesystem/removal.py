"""Deletion of a folder that an adversary has filled."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from server.runner.filesystem.safe_open import open_folder, pinned


def delete_tree(top: Path) -> None:
    """Delete `top` and everything in it, whatever the modes; do nothing if it does not exist.

    Symlinks are deleted, not followed. Works for trees of any depth and on a full disk.

    Raises OSError if something may not be deleted, or if something is moved or added meanwhile.
    """
    try:
        top.unlink()
    except FileNotFoundError:
        return
    except IsADirectoryError:
        _delete_folder(top)


@dataclass(frozen=True, slots=True)
class _Level:
    """A folder on the path down, and its remaining sub-folders; the last one is entered next."""

    device_and_inode: tuple[int, int]
    folders: list[str]


def _delete_folder(top: Path) -> None:
    # Recursion, a descriptor per level or a growing path would each end at some depth: one descriptor moves
    # down by name and up by "..", which leads elsewhere only if the folder is moved meanwhile.
    fd = open_folder(top.parent)
    levels = [_Level(_identity(fd), [top.name])]
    try:
        while levels[0].folders:
            if folders := levels[-1].folders:
                fd = _replace(fd, _enter_unlocked(folders[-1], fd))
                levels.append(_Level(_identity(fd), _delete_files(fd)))
            else:
                levels.pop()
                fd = _replace(fd, open_folder("..", fd))
                if _identity(fd) != levels[-1].device_and_inode:
                    raise OSError(errno.ESTALE, "a folder was moved while it was being deleted", str(top))
                os.rmdir(levels[-1].folders.pop(), dir_fd=fd)
    finally:
        os.close(fd)


def _replace(old: int, new: int) -> int:
    os.close(old)
    return new


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _enter_unlocked(name: str, parent: int) -> int:
    """Open a folder after granting its owner all rights to it."""
    with pinned(name, parent) as (path, status):
        if not stat.S_ISDIR(status.st_mode):  # a hard link in its place could be a file outside
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
        os.chmod(path, stat.S_IRWXU)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def _delete_files(folder: int) -> list[str]:
    """Delete everything in the folder but its sub-folders; return their names."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=folder)
    return folders
