"""File operations of backups: names that replace nothing, also on file systems without hard links."""

import errno
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from server.errors import Code, RemitError
from server.runner.filesystem.safe_open import sync_folder

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""Errors of link(2) where a file cannot have a second name, as on FAT, exFAT or FUSE."""


def check_outside(state: Path, folder: Path, named: str) -> None:
    """Refuse a backup folder within the state folder. Raises RemitError (VALIDATION_ERROR).

    `named` is how the message calls the folder.
    """
    if folder.resolve().is_relative_to(state.resolve()):
        raise RemitError(
            Code.VALIDATION_ERROR, f"{named} lies in the state folder, which a backup must outlive; name another"
        )


def give_name(file: Path, target: Path) -> None:
    """Rename a file within its folder, and replace nothing.

    Without hard links, another program may see an empty `target` for a moment. Raises FileExistsError if `target`
    exists, and other OSErrors.
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
    """Give a file a second name that does not exist yet: a hard link, or else a synced copy. Raises OSError.

    `target` appears complete or not at all.
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
