"""Files beside what they back up, and names that replace nothing, also where a file system has no hard links."""

import errno
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from server.errors import Code, RemitError
from server.runner.filesystem.safe_open import sync_folder

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What link(2) and file systems such as FAT, exFAT or FUSE's answer where a file can have no second name."""


def check_outside(state: Path, folder: Path, named: str) -> None:
    """Raise RemitError (VALIDATION_ERROR) for a folder of backups within the state folder; `named` is what it tells."""
    if folder.resolve().is_relative_to(state.resolve()):
        raise RemitError(
            Code.VALIDATION_ERROR, f"{named} lies in the state folder, which a backup must outlive; name another"
        )


def give_name(file: Path, target: Path) -> None:
    """Rename a file within its folder, and replace nothing.

    Where there are no hard links, another program may see `target` empty for a moment. Raises FileExistsError where
    there is such a file already, and other kinds of OSError.
    """
    try:
        os.link(file, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _reserve_and_rename(file, target)
    else:
        file.unlink()
    sync_folder(target.parent)


def keep(file: Path, target: Path) -> None:
    """Have a file under a second name, which is not there yet: as a hard link, or else a synced copy.

    `target` is there whole or not at all; the file system need not have hard links. Raises OSError.
    """
    try:
        os.link(file, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(file, target)


def _reserve_and_rename(file: Path, target: Path) -> None:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        file.rename(target)
    except BaseException:
        with suppress(OSError):
            target.unlink()
        raise


def _copy(file: Path, target: Path) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with file.open("rb") as source, open(descriptor, "wb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())
        os.rename(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
