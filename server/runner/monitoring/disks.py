"""The disks that a command writes to, and their free space."""

import os
from collections.abc import Iterable
from pathlib import Path

from server.limits import MIB
from server.runner.policy import Limits

INODE_BYTES = 512  # cost of an empty file, which du does not count: 256 bytes for ext4's inode, and its name
FREE_INODES = 10_000  # that must stay free for the server and other programs


class Disks:
    """The disks of some folders. One folder of each is held open, so that renaming it changes nothing."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Open the folders. Raises OSError for one that cannot be opened."""
        self._pinned: dict[int, tuple[Path, int]] = {}
        try:
            for folder in folders:
                self._pin(folder)
        except OSError:
            self.close()
            raise

    @property
    def devices(self) -> frozenset[int]:
        """Their device numbers, st_dev of stat(2)."""
        return frozenset(self._pinned)

    def free_bytes(self) -> int:
        """Return the free space of all disks together."""
        return sum(disk.f_bavail * disk.f_frsize for _, disk in self._statuses())

    def too_full(self, limits: Limits) -> str | None:
        """Return the limit of the first disk with too little free space, as a phrase for users; None if all have."""
        full = (folder for folder, disk in self._statuses() if is_too_full(disk, limits))
        return next((too_full_a_disk(folder, limits) for folder in full), None)

    def close(self) -> None:
        """Close the folders."""
        while self._pinned:
            os.close(self._pinned.popitem()[1][1])

    def _pin(self, folder: Path) -> None:
        pinned = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        device = os.fstat(pinned).st_dev
        if device in self._pinned:
            os.close(pinned)
        else:
            self._pinned[device] = folder, pinned

    def _statuses(self) -> list[tuple[Path, os.statvfs_result]]:
        return [(folder, os.statvfs(pinned)) for folder, pinned in self._pinned.values()]


def is_too_full(disk: os.statvfs_result, limits: Limits, more: int = 0) -> bool:
    """Return whether a disk has less free space than required, or would have after `more` bytes are written."""
    few = disk.f_files > 0 and disk.f_favail < FREE_INODES  # f_files is 0 where inodes are made on demand
    scarce = disk.f_bavail * disk.f_frsize - more < limits.free_bytes
    return limits.free_bytes > 0 and (scarce or few)


def too_full_a_disk(folder: Path, limits: Limits) -> str:
    """Return the limit on free disk space as a phrase for users."""
    return f"the disk of {folder} must keep {limits.free_bytes // MIB} MiB, and some files, free"
