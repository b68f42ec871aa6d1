"""Lost folders: those of tasks that the database does not know, moved to where the user can find them."""

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
    """The folders that were set aside, each as `TIME/FOLDER/NAME` with its former parent folder and name.

    Every method blocks.
    """

    def __init__(self, root: Path) -> None:
        """Name the folder `root`, which is made when it is needed."""
        self.root = root

    def names(self) -> list[str]:
        """Return the names of all folders that are set aside."""
        return [path.name for path in self._entries()]

    def take(self, folder: Path, at: datetime) -> bool:
        """Set a folder aside; return whether that worked. `at`, in UTC, is the same for all folders of one start."""
        return _moved(folder, self.root / at.strftime(_TIME) / folder.parent.name / folder.name)

    def restore(self, wanted: Collection[str], place: Callable[[str], Path]) -> list[str]:
        """Move folders with these names back, latest first, unless the target exists; return the names moved.

        `place` returns the target's parent folder for the name of the former one.
        """
        returned = []
        for path in self._entries():
            target = place(path.parent.name) / path.name
            if path.name in wanted and not os.path.lexists(target) and _moved(path, target):
                returned.append(path.name)
        return returned

    def remove(self, before: datetime) -> None:
        """Delete folders set aside before that time, except worktrees: their commits may exist nowhere else."""
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
        """Return the folder of each start that has set something aside; other entries are the user's."""
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
    """Return whether a task's folder contains a worktree; opens folders that the task closed. Raises OSError."""
    git = tree_of(folder) / ".git"
    try:
        for each in (folder, git.parent):
            _open_up(each)
        git.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _open_up(folder: Path) -> None:
    """Grant this user all rights to a folder, which its task may have closed. Raises OSError."""
    parent = open_folder(folder.parent)
    try:
        with pinned(folder.name, parent) as (path, status):
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                os.chmod(path, stat.S_IMODE(status.st_mode) | stat.S_IRWXU)
    finally:
        os.close(parent)


def _moved(folder: Path, target: Path) -> bool:
    """Move a folder; return whether that worked. A failure is logged only, so that the server can start."""
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
