"""Replacement of a state folder's contents by a backup's: all of it, or nothing.

The new contents lie in a folder beside them, the stage. While files are moved, a note in the stage records what. By
that note an interrupted replacement is recognised; it is undone, or completed if its database is in place already. At
every moment a complete database is in the state folder, the former or the restored one. Every function blocks.
"""

import json
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from server.backups.archive import FOLDERS
from server.backups.files import keep
from server.daemon.paths import DATABASE
from server.errors import Code, RemitError
from server.runner.filesystem.removal import delete_tree
from server.runner.filesystem.safe_open import replace_text, sync_folder
from server.runner.workspace.lost_folders import move
from server.runner.workspace.workspaces import Workspaces
from storage.database_files import SHM, WAL, fold_changes, inspect

_STAGE = ".restore-"
_NOTE = "replacement.json"
_WAL, _SHM = DATABASE + WAL, DATABASE + SHM


@dataclass(frozen=True, slots=True)
class Note:
    """The record of a replacement: the backup, the start, the folder for the former contents, and the new folders."""

    source: str
    begun: str
    kept_in: str
    folders: dict[str, list[str]]
    """Task folders in the backup, by the name of the folder that they belong in."""

    @property
    def told(self) -> str:
        """The interruption, in words."""
        return f"a restore of {self.source}, begun {self.begun}, was cut off"


@contextmanager
def staged(state: Path) -> Iterator[Path]:
    """Create the stage, deleted at the end; a replacement interrupted within the block is undone or completed.

    Raises RemitError (EXECUTION_ERROR) if that fails; the next `recover` tries again.
    """
    stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=state))
    try:
        for name in FOLDERS:
            (stage / name).mkdir(mode=0o700)
        yield stage
    finally:
        _recovered(state, stage)


def recover(state: Path) -> str | None:
    """Undo or complete an interrupted restore; returns what was done, in words, None if there was nothing to do.

    Only for the owner of the state folder. Raises RemitError (EXECUTION_ERROR) if it cannot be done now.
    """
    told = [_recovered(state, stage) for stage in sorted(state.glob(f"{_STAGE}*"))]
    return next(filter(None, told), None)


def cut_off(state: Path) -> str | None:
    """Return that a restore is incomplete, in words; None if none is. Changes nothing. Raises OSError."""
    notes = [_read(stage) for stage in sorted(state.glob(f"{_STAGE}*"))]
    return next((note.told for note in notes if note), None)


class Replacement:
    """A replacement in progress: puts the stage's contents in place."""

    def __init__(self, state: Path, stage: Path, note: Note) -> None:
        self._state = state
        self._stage = stage
        self._note = note
        self._workspaces = Workspaces(state / "workspaces")
        self.aside = state / note.kept_in
        """Where what was there before goes; it is made when there is something."""

    @classmethod
    def begin(cls, state: Path, stage: Path, source: Path) -> "Replacement":
        """Write the note of what is going to be moved. Raises OSError."""
        at = datetime.now(UTC)
        kept_in = _unused(state, f"before-restore-{at:%Y%m%dT%H%M%SZ}")
        folders = {name: sorted(os.listdir(stage / name)) for name in FOLDERS}
        note = Note(str(source), at.isoformat(timespec="seconds"), kept_in.name, folders)
        _write(stage, note)
        return cls(state, stage, note)

    def perform(self, known: Collection[str]) -> None:
        """Put database and folders in place; folders of tasks not in `known` are set aside. Raises OSError."""
        here = self._workspaces.names()
        for name in FOLDERS:
            self._replace_folders(name, here, known)
        self._keep_database()
        (self._stage / DATABASE).replace(self._state / DATABASE)
        sync_folder(self._state)
        self.complete()

    @property
    def is_in_place(self) -> bool:
        """Whether the database was put in place, which is the last step."""
        return not (self._stage / DATABASE).exists()

    def complete(self) -> None:
        """Write the identity of the new database into the task folders. Raises OSError."""
        with suppress(RemitError):  # it has been damaged since: the start of a server says so
            if (found := inspect(self._state / DATABASE)) and found.identity:
                self._workspaces.owner = found.identity
        self._forget()

    def undo(self) -> None:
        """Put everything back. Raises OSError; it can be called again then."""
        for name in FOLDERS:
            self._put_back_folders(name)
        self._put_back_database()
        for folder in (*(self.aside / name for name in FOLDERS), self.aside):
            with suppress(FileNotFoundError):
                folder.rmdir()
        sync_folder(self._state)
        self._forget()

    def _forget(self) -> None:
        (self._stage / _NOTE).unlink()
        sync_folder(self._stage)

    def _replace_folders(self, name: str, here: Collection[str], known: Collection[str]) -> None:
        """Put the backup's folders in place; those it replaces, and those of unknown tasks, are set aside."""
        place, restored = self._state / name, self._note.folders[name]
        unwanted = {*restored, *(task_id for task_id in here if task_id not in known)}
        for task_id in filter(unwanted.__contains__, os.listdir(place)):
            (self.aside / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            move(place / task_id, self.aside / name / task_id)
        for task_id in restored:
            move(self._stage / name / task_id, place / task_id)
        sync_folder(place)

    def _put_back_folders(self, name: str) -> None:
        place = self._state / name
        for task_id in self._note.folders[name]:
            staged = self._stage / name / task_id
            if not os.path.lexists(staged) and os.path.lexists(place / task_id):
                move(place / task_id, staged)
        if (self.aside / name).is_dir():
            for kept in sorted((self.aside / name).iterdir()):
                move(kept, place / kept.name)
        sync_folder(place)

    def _keep_database(self) -> None:
        """Keep the former database aside too, and remove the files beside it.

        Those are removed even without a database: SQLite would apply a leftover WAL to the new one.
        """
        there = [name for name in (DATABASE, _WAL) if (self._state / name).exists()]
        if there:
            fold_changes(self._state / DATABASE)
            self.aside.mkdir(mode=0o700, exist_ok=True)
            for name in filter(lambda each: (self._state / each).exists(), there):
                keep(self._state / name, self.aside / name)
            sync_folder(self.aside)
        for name in (_WAL, _SHM):
            (self._state / name).unlink(missing_ok=True)

    def _put_back_database(self) -> None:
        """Restore the files removed beside the database, which itself was not replaced yet."""
        for name in (DATABASE, _WAL):
            kept, place = self.aside / name, self._state / name
            if kept.exists() and not place.exists():
                kept.rename(place)
            kept.unlink(missing_ok=True)


def _recovered(state: Path, stage: Path) -> str | None:
    """Undo or complete what a stage's note says, and delete the stage; returns what was done, in words.

    Raises RemitError (EXECUTION_ERROR).
    """
    note = None
    try:
        note = _read(stage)
        told = _settled(Replacement(state, stage, note), note) if note else None
        delete_tree(stage)
    except OSError as error:
        what = f"{note.told}, which" if note else f"{stage}, which a restore has left,"
        why = f"{what} cannot be undone now: {error.strerror or error}"
        way = "mend that, then start again" + (f"; what was there is in {state / note.kept_in}" if note else "")
        raise RemitError(Code.EXECUTION_ERROR, f"{why}; {way}") from None
    return told


def _settled(replacement: Replacement, note: Note) -> str:
    if replacement.is_in_place:
        replacement.complete()
        return f"{note.told} right before its end: it is complete now, and what was there is in {replacement.aside}"
    replacement.undo()
    return f"{note.told}: what it had changed is undone; `remit restore {note.source}` begins it anew"


def _read(stage: Path) -> Note | None:
    try:
        return Note(**json.loads((stage / _NOTE).read_text()))
    except FileNotFoundError:
        return None


def _write(stage: Path, note: Note) -> None:
    replace_text(stage / _NOTE, json.dumps(asdict(note)), ".new")
    sync_folder(stage.parent)


def _unused(folder: Path, name: str) -> Path:
    names = (f"{name}{suffix}" for suffix in ("", *(f"-{number}" for number in range(2, 1000))))
    return next(path for path in map(folder.__truediv__, names) if not path.exists())
