"""Folders of tasks that the database does not know, set aside where a person finds them."""

import logging
import os
import stat
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

from server.runner.filesystem.removal import delete_tree
from server.runner.filesystem.safe_open import open_folder, pinned
from server.runner.worktrees.worktree import tree_of

_log = logging.getLogger(__name__)

_TIME = "%Y-%m-%dT%H-%M-%S.%fZ"


class LostFolders:
    """What was set aside: `TIME/FOLDER/NAME` for each, the folder and the name being those that it had.

    Every method blocks.
    """

    def __init__(self, root: Path) -> None:
        """`root` is made when it is needed."""
        self.root = root

    def names(self) -> list[str]:
        """Return the names of all that is set aside."""
        return [path.name for path in self._entries()]

    def take(self, folder: Path, at: datetime) -> bool:
        """Set a folder aside; whether that was done. `at` is the same for all of one start, in UTC."""
        return _moved(folder, self.root / at.strftime(_TIME) / folder.parent.name / folder.name)

    def give_back(self, wanted: Collection[str], place: Callable[[str], Path]) -> list[str]:
        """Put what has one of these names back, the latest first, unless something is in its place.

        `place` tells where the folders of a kind lie, by the name of that folder. Returns the names.
        """
        returned = []
        for path in self._entries():
            target = place(path.parent.name) / path.name
            if path.name in wanted and not os.path.lexists(target) and _moved(path, target):
                returned.append(path.name)
        return returned

    def remove(self, before: datetime) -> None:
        """Delete what was set aside before then; a worktree stays: nobody knows what would be lost with it."""
        for path in self._entries():
            if _time(path.parents[1].name) < before:
                try:
                    if not _is_worktree(path):
                        delete_tree(path)
                except OSError as error:
                    _log.warning("cannot delete %s: %s", path, error.strerror)
        self._remove_empty()

    def _entries(self) -> Iterator[Path]:
        for batch in sorted(self._batches(), reverse=True):
            for kind in sorted(filter(Path.is_dir, batch.iterdir())):
                yield from sorted(kind.iterdir())

    def _batches(self) -> list[Path]:
        """The folders of each start that has set something aside; what a person has put beside them is left alone."""
        return [path for path in self.root.iterdir() if _is_time(path.name)] if self.root.is_dir() else []

    def _remove_empty(self) -> None:
        for batch in self._batches():
            for folder in (*batch.iterdir(), batch):
                if folder.is_dir() and not os.listdir(folder):
                    folder.rmdir()


def move(folder: Path, place: Path) -> None:
    """Move a folder within its file system, whatever its mode. Raises OSError."""
    _open_up(folder)
    folder.rename(place)


def _is_worktree(folder: Path) -> bool:
    """Whether the folder of a task holds a worktree, which its task may have closed. Raises OSError."""
    git = tree_of(folder) / ".git"
    try:
        for each in (folder, git.parent):
            _open_up(each)
        git.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _open_up(folder: Path) -> None:
    """Give ourselves all rights to a folder, to move it or to look into it: its task may have closed it."""
    parent = open_folder(folder.parent)
    try:
        with pinned(folder.name, parent) as (path, status):
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                os.chmod(path, stat.S_IMODE(status.st_mode) | stat.S_IRWXU)
    finally:
        os.close(parent)


def _moved(folder: Path, target: Path) -> bool:
    """Move a folder, and say so where that fails: one bad folder must not keep the server from starting."""
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        move(folder, target)
    except OSError as error:
        _log.warning("%s stays: it cannot be moved to %s: %s", folder, target, error.strerror)
        return False
    return True


def _time(name: str) -> datetime:
    return datetime.strptime(name, _TIME).replace(tzinfo=UTC)


def _is_time(name: str) -> bool:
    try:
        _time(name)
    except ValueError:
        return False
    return True
