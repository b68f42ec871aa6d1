"""Writing a backup: the database, and the task folders on demand, as one file that appears when it is complete.

It contains no secret's value, since the database has none; what a task has written into its folder is included as it
is. No server is needed, and none is disturbed.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from gzip import GzipFile
from pathlib import Path
from tarfile import TarFile
from tarfile import open as open_tar

from server.backups.archive import SkippedFiles, damage_told, members, pack
from server.backups.exclusion import packing
from server.backups.files import check_outside, give_name
from server.daemon.paths import DATABASE
from server.errors import Code, RemitError
from server.runner.filesystem.safe_open import CHUNK_BYTES
from storage.database_files import copy_database, examine, task_ids

LEVEL = 1
"""The gzip level: holes shrink to almost nothing, and it is a few times slower than copying, not twenty times."""


@dataclass(frozen=True, slots=True)
class BackupReport:
    """A written backup: its size in bytes, its tasks, and those whose folders are in it (None: not asked for)."""

    file: Path
    size: int
    tasks: int
    folders: int | None
    left_out: SkippedFiles


def write_backup(state: Path, target: Path, *, folders: bool) -> BackupReport:
    """Write a backup of a state folder to the new file `target`, readable by its owner alone. Blocks.

    It is checked and synced before it gets its name.

    Raises RemitError: NOT_FOUND if there is nothing to back up; CONFLICT if the file exists already, or a restore moves
    the folders; VALIDATION_ERROR for a place where no backup can be; EXECUTION_ERROR if it cannot be written.
    """
    database = state / DATABASE
    if not database.is_file():
        raise RemitError(Code.NOT_FOUND, f"there is nothing to back up: {state} has no database")
    _check_target(state, target)
    try:
        with packing(state) if folders else nullcontext(), _unnamed(target) as copy:
            copy_database(database, copy)
            tasks = examine(copy).tasks
            left_out = SkippedFiles()
            if not folders:
                return BackupReport(target, _publish(copy, target), tasks, None, left_out)
            with _unnamed(target) as archive:
                count = _write_archive(archive, copy, state, left_out)
                _check_archive(archive)
                return BackupReport(target, _publish(archive, target), tasks, count, left_out)
    except OSError as error:
        raise RemitError(Code.EXECUTION_ERROR, f"{target} cannot be written: {error.strerror or error}") from None


@contextmanager
def reading(archive: Path) -> Iterator[TarFile]:
    """Open an archive of database and folders, to be read once from beginning to end.

    Raises RemitError (VALIDATION_ERROR) if it is damaged.
    """
    with damage_told(), GzipFile(archive, "rb") as plain:
        with open_tar(fileobj=plain, mode="r|") as tar:
            yield tar
        while plain.read(CHUNK_BYTES):
            pass  # gzip's checksum of the whole is at its end


def _check_target(state: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise RemitError(Code.CONFLICT, f"{target} is there already; name a file that is not")
    if not target.parent.is_dir():
        raise RemitError(Code.VALIDATION_ERROR, f"there is no folder {target.parent}")
    check_outside(state, target.parent, str(target))


@contextmanager
def _unnamed(target: Path) -> Iterator[Path]:
    """Create a temporary file beside `target`, removed at the end of the block."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _write_archive(archive: Path, copy: Path, state: Path, left_out: SkippedFiles) -> int:
    with GzipFile(archive, "wb", compresslevel=LEVEL) as plain, open_tar(fileobj=plain, mode="w|") as tar:
        tar.add(copy, DATABASE)
        return pack(tar, state, task_ids(copy), left_out)


def _check_archive(archive: Path) -> None:
    """Read the whole archive: each block has a checksum, and so has the whole."""
    with reading(archive) as tar:
        for _ in members(tar):
            pass


def _publish(written: Path, target: Path) -> int:
    """Sync a file and give it its final name; returns its size."""
    with written.open("rb") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    try:
        give_name(written, target)
    except FileExistsError:
        raise RemitError(Code.CONFLICT, f"{target} was made by somebody else meanwhile; name another file") from None
    return size
