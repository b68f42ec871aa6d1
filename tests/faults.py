"""Real faults for the state folder of a server: a disk that is full, and a database that somebody else has locked."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOSPC
from pathlib import Path

from server.daemon.paths import DATABASE
from server.runner.filesystem.removal import delete_tree
from tests import servers
from tests.needs import lacks

DISK_BYTES = 24 * 1024**2
"""Enough for a database with its log of changes, and soon filled."""

PREPARED = "REMIT_TEST_DISK"
"""The variable that names an empty disk of DISK_BYTES for an ordinary user, as `.ci/ordinary-user` mounts it."""

CHUNK = 1024**2

SETTINGS = '[limits]\nfree_space = "0"\n'
"""Commands run on the small disk of a test: only the fault that it makes is to stop them."""


class Disk:
    """A disk of its own, on which a state folder lies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @property
    def free(self) -> int:
        """Bytes that are left on it."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Leave so many bytes of it free: what is freed meanwhile is taken, too, when this is called again."""
        with self._ballast.open("ab", buffering=0) as ballast:
            size = CHUNK
            while size:
                try:
                    if self.free - leave < size:
                        size //= 2
                    else:
                        ballast.write(bytes(size))
                except OSError as error:
                    if error.errno != ENOSPC:
                        raise
                    size //= 2

    def close(self) -> None:
        """Let nothing be written to it any more. Takes root."""
        if os.geteuid() != 0:
            lacks("mounting a disk anew takes root")
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)

    def empty(self) -> None:
        """Give back what was filled."""
        with suppress(FileNotFoundError):
            self._ballast.unlink()


@contextmanager
def small_disk(folder: Path, size: int = DISK_BYTES) -> Iterator[Disk]:
    """Yield a disk of `size` bytes (tmpfs), mounted at `folder`: by root, or else beforehand at what PREPARED names."""
    if os.geteuid() != 0:
        with _prepared(size) as disk:
            yield disk
        return
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", folder], check=True)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def _prepared(size: int) -> Iterator[Disk]:
    """Yield the disk that root has mounted for tests of an ordinary user; it is emptied at the end."""
    folder = Path(os.environ.get(PREPARED) or lacks(f"mounting a disk takes root, or one that {PREPARED} names"))
    if size != DISK_BYTES:
        lacks(f"mounting a disk of {size} bytes takes root")
    try:
        yield Disk(folder)
    finally:
        for entry in folder.iterdir():
            delete_tree(entry)


@contextmanager
def home_on_disk(folder: Path, size: int = DISK_BYTES) -> Iterator[tuple[Path, Disk]]:
    """Yield a state folder on a small disk of its own; its server is stopped at the end, and must heed it."""
    (folder / "remit.toml").write_text(SETTINGS)
    with small_disk(folder / "disk", size) as disk:
        (disk.folder / "remit.toml").symlink_to(folder / "remit.toml")
        with servers.home(disk.folder) as home:
            try:
                yield home, disk
            finally:
                disk.empty()


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the lock for writing the database of a state folder, as a tool beside the server may."""
    other = sqlite3.connect(home / DATABASE, isolation_level=None, timeout=servers.PATIENCE)
    try:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
    finally:
        other.close()


def working_in(folder: Path) -> list[int]:
    """Return the processes whose current folder is `folder` or beneath it, by pid: those of a task, for its folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and Path(os.readlink(entry / "cwd")).is_relative_to(folder):
                found.append(int(entry.name))
    return found
