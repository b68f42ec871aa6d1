"""The disks that a command writes to, and what each of them must keep free."""

import os
from collections.abc import Iterable
from pathlib import Path

from server.runner.policy import MIB, Limits

INODE_BYTES = 512  # what an empty file takes, of which du says nothing: 256 for ext4's inode, and its name
FREE_INODES = 10_000  # a floor: what the server and its machine need for a while


class Disks:
    """Those on which some folders lie, one folder of each, whatever becomes of its name."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Raises OSError for a folder that cannot be opened."""
        self._pinned: dict[int, tuple[Path, int]] = {}
        try:
            for folder in folders:
                self._pin(folder)
        except OSError:
            self.close()
            raise

    @property
    def devices(self) -> frozenset[int]:
        """Their numbers, as `stat` has them."""
        return frozenset(self._pinned)

    def free_bytes(self) -> int:
        """What all of them have left."""
        return sum(disk.f_bavail * disk.f_frsize for _, disk in self._looked_at())

    def too_full(self, limits: Limits) -> str | None:
        """The first that has less left than it must, in words for a person."""
        full = (folder for folder, disk in self._looked_at() if is_too_full(disk, limits))
        return next((too_full_a_disk(folder, limits) for folder in full), None)

    def close(self) -> None:
        """Let go of the folders."""
        while self._pinned:
            os.close(self._pinned.popitem()[1][1])

    def _pin(self, folder: Path) -> None:
        pinned = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        device = os.fstat(pinned).st_dev
        if device in self._pinned:
            os.close(pinned)
        else:
            self._pinned[device] = folder, pinned

    def _looked_at(self) -> list[tuple[Path, os.statvfs_result]]:
        return [(folder, os.statvfs(pinned)) for folder, pinned in self._pinned.values()]


def is_too_full(disk: os.statvfs_result, limits: Limits, more: int = 0) -> bool:
    """Whether a disk has less left than it must, or will have with so many bytes more."""
    few = disk.f_files > 0 and disk.f_favail < FREE_INODES  # some file systems make inodes as they need them
    scarce = disk.f_bavail * disk.f_frsize - more < limits.free_bytes
    return limits.free_bytes > 0 and (scarce or few)


def too_full_a_disk(folder: Path, limits: Limits) -> str:
    """The limit on the disk of a folder, in words for a person."""
    return f"the disk of {folder} must keep {limits.free_bytes // MIB} MiB, and some files, free"
