"""Disk space reserved beside the database, for the time when the disk is full."""

import os
from contextlib import suppress
from pathlib import Path

RESERVE_BYTES = 1024**2
"""Bytes: the end of a task changes some 15 pages of 4 KiB, each of which is written to the WAL."""


class Reserve:
    """A file that reserves disk space, and is deleted so that ends of tasks can be written. Every method blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_held = False
        self._was_given_up = False

    @property
    def is_in_use(self) -> bool:
        """Whether the file was deleted and cannot be allocated again: the space is for ends of tasks alone."""
        return self._was_given_up and not self._is_held

    def take(self) -> None:
        """Allocate the file, if the disk has twice as much free: space just freed may be meant for something else."""
        if self._is_held:
            return
        with suppress(OSError):  # a full disk, or one that fails, has none to spare
            disk = os.statvfs(self._path.parent)
            if self._path.exists() or disk.f_bavail * disk.f_frsize >= 2 * RESERVE_BYTES:
                self._allocate()

    def give_up(self) -> None:
        """Delete the file."""
        with suppress(OSError):
            self._path.unlink()
        self._is_held, self._was_given_up = False, True

    def _allocate(self) -> None:
        descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        except OSError:
            self._path.unlink()
            raise
        finally:
            os.close(descriptor)
        self._is_held = True
