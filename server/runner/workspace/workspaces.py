"""The tasks' own folders: creating them, adding uploads, removing them."""

import logging
import os
import re
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from server.errors import Code, RemitError
from server.runner.filesystem.removal import delete_tree
from server.runner.filesystem.safe_open import replace_text, sync_folder
from server.runner.workspace.delivery import UPLOADS, deliver
from server.runner.workspace.lost_folders import LostFolders
from server.runner.workspace.upload import SourceFolder, Upload, check_uploads

_log = logging.getLogger(__name__)


OWNER = ".database"
"""The file beside the workspaces with the id of the database to which they belong."""

_NEW = ".new"  # suffix of the marker files of unfinished workspaces; task ids contain no dot


@dataclass(frozen=True, slots=True)
class SweepReport:
    """The names of the folders that a sweep deleted, set aside as lost, and returned to their places."""

    deleted: list[str]
    lost: list[str]
    returned: list[str]


class Workspaces:
    """The folder with the own folder of every task, and with hidden temporary folders. Users' folders are not in it.

    The content of a workspace is an adversary's: it is never trusted, and symlinks are not followed. Every method
    blocks.
    """

    def __init__(self, root: Path) -> None:
        """Make `root` and the folder `homes` beside it with mode 0700. Their parent, the state folder, must exist."""
        self._root = root
        self._homes = root.with_name("homes")
        for folder in (root, self._homes):
            folder.mkdir(mode=0o700, exist_ok=True)
            if stat.S_IMODE(folder.stat().st_mode) != 0o700:
                folder.chmod(0o700)
        self.lost = LostFolders(root.with_name("lost"))

    @property
    def state(self) -> Path:
        """The state folder, which contains the workspaces."""
        return self._root.parent

    def path(self, task_id: str) -> Path:
        """Return the path of the task's workspace, whether it exists or not.

        Raises RemitError: NOT_FOUND for a text that is no valid task id.
        """
        if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}", task_id):
            raise RemitError(Code.NOT_FOUND, "there is no such task")
        return self._root / task_id

    def has(self, task_id: str) -> bool:
        """Return whether the task has a workspace."""
        return os.path.lexists(self.path(task_id))

    def create(self, task_id: str, uploads: Sequence[Upload] = (), *, source_root: Path | None = None) -> Path:
        """Make the task's workspace with its uploads in `uploads/`, atomically, and flush it to disk.

        Until `keep` is called, the workspace counts as unfinished: its task is not in the database yet.
        Sources are read beneath `source_root`, the folder in which the client was started.

        Raises RemitError: VALIDATION_ERROR or LIMIT_EXCEEDED with the `field` at fault in its details, CONFLICT if the
        workspace exists; OSError if the disk is full or fails. Nothing is left behind then.
        """
        check_uploads(uploads)
        target = self.path(task_id)
        if self.has(task_id):
            raise RemitError(Code.CONFLICT, "the task has a workspace already")
        with self._hidden() as hidden:
            workspace = hidden / "workspace"
            workspace.mkdir(mode=0o700)
            (workspace / UPLOADS).mkdir(mode=0o700)
            deliver(uploads, workspace, hidden, self._sources(source_root))
            self._publish(workspace, target)
        return target

    def keep(self, task_id: str) -> None:
        """Mark a workspace as finished, as its task is in the database. If this fails, the next `sweep` does it."""
        with suppress(OSError):
            self._unkept(task_id).unlink(missing_ok=True)

    def ensure(self, task_id: str) -> Path:
        """Return the task's workspace; make an empty one if there is none, as for a task without uploads."""
        target = self.path(task_id)
        with suppress(FileExistsError):
            target.mkdir(mode=0o700)
            (target / UPLOADS).mkdir(mode=0o700)
        return target

    def add(self, task_id: str, uploads: Sequence[Upload], *, source_root: Path | None = None) -> list[str]:
        """Add uploads to the task's workspace, all or none; return their paths, relative to the workspace.

        A file, symlink or device with the name of an upload is replaced, never written through.

        Raises what `create` raises; CONFLICT if a folder is in the way of a file or the reverse, NOT_FOUND if there
        is no workspace.
        """
        check_uploads(uploads)
        workspace = self.path(task_id)
        if not workspace.is_dir():
            raise RemitError(Code.NOT_FOUND, "the task has no workspace")
        with self._hidden() as hidden:
            deliver(uploads, workspace, hidden, self._sources(source_root))
        return [f"{UPLOADS}/{upload.path}" for upload in uploads]

    def furnish(self, task_id: str, files: Mapping[str, str]) -> Path:
        """Return the task's persistent HOME, after writing these files (path -> text) to it.

        What an earlier program put in their places is replaced, never written through. Raises RemitError (CONFLICT) if
        a folder is in the way of a file, or the reverse.
        """
        home = self._homes / self.path(task_id).name
        home.mkdir(mode=0o700, exist_ok=True)
        uploads = [Upload(path, content=text.encode()) for path, text in files.items()]
        check_uploads(uploads)
        with self._hidden() as hidden:
            deliver(uploads, home, hidden, self._sources(None), beneath=())
        return home

    def remove(self, task_id: str) -> None:
        """Delete the task's workspace and its HOME; do nothing if there is none.

        They are renamed first, so that a new workspace can be made. What is left is deleted by the next `sweep`.

        Raises OSError if something may not be deleted.
        """
        workspace = self.path(task_id)
        for folder in (workspace, self._homes / workspace.name):
            aside = self._root / f".{task_id}.{token_hex(4)}"
            with suppress(FileNotFoundError):
                folder.rename(aside)
                delete_tree(aside)
        self.keep(task_id)

    def disk(self) -> os.statvfs_result:
        """Return the status of the file system with the workspaces, such as its free space."""
        return os.statvfs(self._root)

    @property
    def owner(self) -> str | None:
        """The id of the database to which the workspaces belong; None if it was not recorded yet."""
        try:
            return (self._root / OWNER).read_text().strip() or None
        except FileNotFoundError:
            return None

    @owner.setter
    def owner(self, identity: str) -> None:
        replace_text(self._root / OWNER, f"{identity}\n", _NEW)

    def names(self) -> set[str]:
        """Return the names of all workspaces and homes, and of other entries beside them, without unfinished ones."""
        return {folder.name for folder in self._folders() if not self._is_temporary(folder)}

    def sweep(self, known: Collection[str], given_up: Collection[str], at: datetime) -> SweepReport:
        """Delete unfinished folders and those of `given_up` tasks, and set aside all others without a known task.

        Folders of known tasks that were set aside before are moved back. Only for the start of the server: it would
        also delete what another thread is preparing.
        """
        returned = self.lost.restore(known, self._root.with_name)
        unneeded = {*given_up, *(name for name in self.names() if self._unkept(name).exists())}
        deleted, lost = set(), set()
        for folder in self._folders():
            if folder.name in known:
                continue
            if self._is_temporary(folder) or folder.name in unneeded:
                deleted.update(_deleted(folder))
            elif self.lost.take(folder, at):
                lost.add(folder.name)
        for note in self._root.glob(f".*{_NEW}"):
            note.unlink()
        return SweepReport(sorted(deleted), sorted(lost), sorted(returned))

    def _folders(self) -> list[Path]:
        """Return all folders, homes included, without the server's marker files beside them."""
        folders = [folder / name for folder in (self._root, self._homes) for name in os.listdir(folder)]
        return sorted(folder for folder in folders if folder.name != OWNER and folder.suffix != _NEW)

    def _unkept(self, task_id: str) -> Path:
        """Return the marker file that exists while the workspace's task may not be in the database yet."""
        return self._root / f".{task_id}{_NEW}"

    def _is_temporary(self, folder: Path) -> bool:
        """Return whether a folder is a temporary one of the server's: partly made or partly deleted."""
        return folder.parent == self._root and folder.name.startswith(".")

    def _sources(self, folder: Path | None) -> SourceFolder:
        return SourceFolder(folder, private=self._root.parent)

    def make_stage(self) -> Path:
        """Make an empty hidden folder beside the workspaces, to be deleted by the caller.

        If the server dies first, the next `sweep` deletes it.
        """
        return Path(tempfile.mkdtemp(prefix=".", dir=self._root))

    @contextmanager
    def _hidden(self) -> Iterator[Path]:
        folder = self.make_stage()
        try:
            yield folder
        finally:
            delete_tree(folder)

    def _publish(self, workspace: Path, target: Path) -> None:
        # Synced after the move, so that one commit of the file system's journal holds it all. A crash in between
        # does no harm: an unfinished workspace is deleted by `sweep`.
        self._unkept(target.name).touch(mode=0o600)
        workspace.rename(target)
        try:
            for folder in (target / UPLOADS, target, self._root):
                sync_folder(folder)
        except OSError:
            delete_tree(target)
            self.keep(target.name)
            raise


def _deleted(folder: Path) -> list[str]:
    """Delete a folder; return its name, or nothing if that failed."""
    try:
        delete_tree(folder)
    except OSError as error:  # one bad folder must not keep the server from starting
        _log.warning("cannot delete %s: %s", folder, error.strerror)
        return []
    return [folder.name]
