"""The folders that tasks work in: made whole, added to from outside, removed whole."""

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
from server.runner.filesystem.safe_open import sync_folder
from server.runner.workspace.delivery import UPLOADS, deliver
from server.runner.workspace.lost_folders import LostFolders
from server.runner.workspace.upload import SourceFolder, Upload, check_uploads

_log = logging.getLogger(__name__)


OWNER = ".database"
"""The file among the workspaces that has the id of the database which they belong to."""

_NEW = ".new"  # ends our notes of what is being made; a task's id has no dot


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep has done with the folders of no known task, and with what had been set aside; by name."""

    deleted: list[str]
    lost: list[str]
    returned: list[str]


class Workspaces:
    """The folder that holds every task's workspace, and a hidden one beside them while something is prepared.

    What is in a workspace was put there by an adversary: it is neither believed nor followed. Every method blocks.
    """

    def __init__(self, root: Path) -> None:
        """Make `root` and a folder of homes beside it, for us alone; their parent, the state folder, must exist."""
        self._root = root
        self._homes = root.with_name("homes")
        for folder in (root, self._homes):
            folder.mkdir(mode=0o700, exist_ok=True)
            if stat.S_IMODE(folder.stat().st_mode) != 0o700:
                folder.chmod(0o700)
        self.lost = LostFolders(root.with_name("lost"))

    @property
    def state(self) -> Path:
        """The state folder, in which they lie."""
        return self._root.parent

    def path(self, task_id: str) -> Path:
        """Return where the task's workspace is, or would be.

        Raises RemitError: NOT_FOUND for what cannot be the id of a task.
        """
        if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}", task_id):
            raise RemitError(Code.NOT_FOUND, "there is no such task")
        return self._root / task_id

    def has(self, task_id: str) -> bool:
        """Whether the task has a workspace."""
        return os.path.lexists(self.path(task_id))

    def create(self, task_id: str, uploads: Sequence[Upload] = (), *, source_root: Path | None = None) -> Path:
        """Make the task's workspace with its uploads in `uploads/`; it appears complete, and returns durable.

        Until `keep` is called, it counts as half-made: the task is not on record yet.
        Sources are read beneath `source_root`, the folder that the client was started in.

        Raises RemitError: VALIDATION_ERROR or LIMIT_EXCEEDED with the `field` at fault in its details, or CONFLICT
        where there is a workspace already; OSError where the disk is full or fails. Nothing is left behind then.
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
        """Note that the task of a workspace that was created is on record; the next `sweep` finds that out, too."""
        with suppress(OSError):
            self._unkept(task_id).unlink(missing_ok=True)

    def ensure(self, task_id: str) -> Path:
        """Return the task's workspace, made empty where there is none yet: a task without uploads needs none sooner."""
        target = self.path(task_id)
        with suppress(FileExistsError):
            target.mkdir(mode=0o700)
            (target / UPLOADS).mkdir(mode=0o700)
        return target

    def add(self, task_id: str, uploads: Sequence[Upload], *, source_root: Path | None = None) -> list[str]:
        """Add uploads to the task's workspace, all or none; return their names, relative to the workspace.

        A file, symlink or device that has the name of an upload is replaced; it is never written through.

        Raises what `create` raises, but CONFLICT where a folder is in the way of a file or the reverse, and
        NOT_FOUND where there is no workspace.
        """
        check_uploads(uploads)
        workspace = self.path(task_id)
        if not workspace.is_dir():
            raise RemitError(Code.NOT_FOUND, "the task has no workspace")
        with self._hidden() as hidden:
            deliver(uploads, workspace, hidden, self._sources(source_root))
        return [f"{UPLOADS}/{upload.path}" for upload in uploads]

    def furnish(self, task_id: str, files: Mapping[str, str]) -> Path:
        """Return the task's HOME that outlives its programs, with these files in it (path -> text) as they are here.

        What an earlier program has put in their places is replaced, never written through. Raises CONFLICT where a
        folder is in the way of a file, or the reverse.
        """
        home = self._homes / self.path(task_id).name
        home.mkdir(mode=0o700, exist_ok=True)
        uploads = [Upload(path, content=text.encode()) for path, text in files.items()]
        check_uploads(uploads)
        with self._hidden() as hidden:
            deliver(uploads, home, hidden, self._sources(None), beneath=())
        return home

    def remove(self, task_id: str) -> None:
        """Delete the task's workspace and its HOME; nothing happens where there is none.

        It is out of its place at once, so that a new one can be made there; what cannot be deleted is deleted by the
        next `sweep`.

        Raises OSError where something in it is not ours to delete.
        """
        workspace = self.path(task_id)
        for folder in (workspace, self._homes / workspace.name):
            aside = self._root / f".{task_id}.{token_hex(4)}"
            with suppress(FileNotFoundError):
                folder.rename(aside)
                delete_tree(aside)
        self.keep(task_id)

    def disk(self) -> os.statvfs_result:
        """Return how much is left where they lie."""
        return os.statvfs(self._root)

    @property
    def owner(self) -> str | None:
        """The id of the database whose tasks the folders belong to; None where it was not written down yet."""
        try:
            return (self._root / OWNER).read_text().strip() or None
        except FileNotFoundError:
            return None

    @owner.setter
    def owner(self, identity: str) -> None:
        new = self._root / f"{OWNER}{_NEW}"
        with new.open("w") as file:
            file.write(f"{identity}\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._root / OWNER)
        sync_folder(self._root)

    def names(self) -> set[str]:
        """Return the names of all workspaces and homes, and of what else lies beside them; not of what is half-made."""
        return {folder.name for folder in self._folders() if not self._is_ours(folder)}

    def sweep(self, known: Collection[str], given_up: Collection[str], at: datetime) -> SweepReport:
        """Delete what is half-made or was given up, and set aside what else belongs to no known task.

        What was set aside before and belongs to a known task is put back. Only for the start of the server: what
        another thread is preparing would be deleted with the rest.
        """
        returned = self.lost.give_back(known, self._root.with_name)
        unneeded = {*given_up, *(name for name in self.names() if self._unkept(name).exists())}
        deleted, lost = set(), set()
        for folder in self._folders():
            if folder.name in known:
                continue
            if self._is_ours(folder) or folder.name in unneeded:
                deleted.update(_deleted(folder))
            elif self.lost.take(folder, at):
                lost.add(folder.name)
        for note in self._root.glob(f".*{_NEW}"):
            note.unlink()
        return SweepReport(sorted(deleted), sorted(lost), sorted(returned))

    def _folders(self) -> list[Path]:
        """All folders, those of homes included, without our notes beside them."""
        folders = [folder / name for folder in (self._root, self._homes) for name in os.listdir(folder)]
        return sorted(folder for folder in folders if folder.name != OWNER and folder.suffix != _NEW)

    def _unkept(self, task_id: str) -> Path:
        """The file that is there as long as a workspace may be that of a task which is not on record."""
        return self._root / f".{task_id}{_NEW}"

    def _is_ours(self, folder: Path) -> bool:
        """Whether it is no task's: half-made, or half-deleted."""
        return folder.parent == self._root and folder.name.startswith(".")

    def _sources(self, folder: Path | None) -> SourceFolder:
        return SourceFolder(folder, private=self._root.parent)

    def make_stage(self) -> Path:
        """Make an empty hidden folder beside the workspaces, which is the caller's to delete.

        What is left of one when a server dies is deleted by the next `sweep`.
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
        # does no harm: what is half-made will be swept.
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
    """Delete a folder; its name if that was done."""
    try:
        delete_tree(folder)
    except OSError as error:  # one bad folder must not keep the server from starting
        _log.warning("cannot delete %s: %s", folder, error.strerror)
        return []
    return [folder.name]
