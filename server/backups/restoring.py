"""The restoring of a backup: checked first, then put in place, with what was there kept aside.

At every moment a whole database stands in the state folder, the former one or the restored one.
"""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio

from server.backups.archive import FOLDERS, LeftOut, unpack
from server.backups.writing import reading
from server.errors import Code, RemitError
from server.ownership import Ownership, Purpose
from server.places import DATABASE, Places
from server.runner.folder import sync_folder
from server.runner.lost import move
from server.runner.process import ProcessMark, end_leftover
from server.runner.removal import delete_tree
from server.runner.workspace import Workspaces
from server.start import claim
from storage.backup import examine, fold_changes, leftovers
from storage.records import Leftover
from storage.restored import Held
from storage.store import open_store
from storage.times import now

_SQLITE, _GZIP = b"SQLite format 3\0", b"\x1f\x8b"
_STAGE = ".restore-"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and what was not.

    `latest` is the time of the latest event in the backup, in microseconds since 1970; `missing` has the tasks whose
    folders are neither in the backup nor here; `kept_in` is where what was there before lies, None where nothing was.
    """

    tasks: int
    latest: int | None
    held: Held
    missing: list[str]
    kept_in: Path | None
    left_out: LeftOut


def restore(places: Places, source: Path) -> Restored:
    """Put the backup `source` in the place of what is in the state folder, which no server may own. Blocks.

    Call it from the main thread. The backup is only read. Where its folders are not in it, those that are here stay
    with their tasks.

    Raises RemitError: CONFLICT while a server runs, or for a backup of a newer remit; NOT_FOUND where there is no such
    file; VALIDATION_ERROR for one that is damaged or no backup; EXECUTION_ERROR where the disk is full or fails.
    Nothing was changed then, unless the message says so.
    """
    lock = claim(places)
    if lock is None:
        raise RemitError(
            Code.CONFLICT, f"a server runs for {places.state}; end it first: remit server stop, or with --force"
        )
    try:
        with Ownership(places, Purpose.RESTORE), _stage(Path(places.state)) as stage:
            return _Restoring(Path(places.state), stage).restore(source)
    finally:
        lock.release()


class _Restoring:
    def __init__(self, state: Path, stage: Path) -> None:
        self._state = state
        self._stage = stage
        self._workspaces = Workspaces(state / "workspaces")
        self._aside = _Aside(state)
        self._left_out = LeftOut()

    def restore(self, source: Path) -> Restored:
        try:
            self._unpack(source)
            contents = examine(self._stage / DATABASE, of=source)
            at_work = leftovers(self._stage / DATABASE)  # before they are settled: then they are open no more
            settled = anyio.run(_settle, self._stage / DATABASE, self._names())
            os.sync()
        except OSError as error:
            raise RemitError(Code.EXECUTION_ERROR, f"{source} cannot be restored: {error.strerror or error}") from None
        try:
            self._replace(settled, at_work)
        except OSError as error:
            message = (
                f"{source} is restored in part: {error.strerror or error}; what was there is in {self._aside.folder}"
            )
            raise RemitError(Code.EXECUTION_ERROR, f"{message}; restore it again when that is mended") from None
        missing = sorted(settled.expecting.difference(self._names()))
        return Restored(contents.tasks, contents.latest, settled.held, missing, self._aside.used, self._left_out)

    def _unpack(self, source: Path) -> None:
        """Copy the backup into the stage, checked."""
        try:
            with source.open("rb") as file:
                start = file.read(len(_SQLITE))
        except FileNotFoundError:
            raise RemitError(Code.NOT_FOUND, f"there is no file {source}") from None
        if start == _SQLITE:
            examine(source, of=source)
            shutil.copyfile(source, self._stage / DATABASE)
        elif start.startswith(_GZIP):
            with reading(source) as tar:
                unpack(tar, self._stage, self._left_out)
        else:
            raise RemitError(Code.VALIDATION_ERROR, f"{source} is no backup of remit")

    def _names(self) -> set[str]:
        """The names of tasks that have a folder: here, set aside by a start of the server, or in the backup."""
        there = (name for folder in FOLDERS for name in os.listdir(self._stage / folder))
        return {*self._workspaces.names(), *self._workspaces.lost.names(), *there}

    def _replace(self, settled: "_Settled", at_work: Collection[Leftover]) -> None:
        database = self._state / DATABASE
        for leftover in (*leftovers(database), *at_work):
            for process in leftover.processes:
                end_leftover(ProcessMark(**process))
        here = self._workspaces.names()
        for name in FOLDERS:
            self._replace_folders(name, here, settled.known)
        if database.exists():
            fold_changes(database)
            self._aside.keep_database()
        (self._stage / DATABASE).replace(database)
        sync_folder(self._state)
        self._workspaces.owner = settled.identity

    def _replace_folders(self, name: str, here: Collection[str], known: Collection[str]) -> None:
        """Put those of the backup in place; those here that it has too, or whose tasks it does not know, go aside."""
        place, stage = self._state / name, self._stage / name
        restored = set(os.listdir(stage))
        for task_id in here:
            if os.path.lexists(place / task_id) and (task_id in restored or task_id not in known):
                self._aside.keep(place / task_id)
        for task_id in restored:
            move(stage / task_id, place / task_id)
        sync_folder(place)


class _Aside:
    """A folder in the state folder for what was there before, made when there is something."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.folder = _unused(state, f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")

    @property
    def used(self) -> Path | None:
        """The folder; None where nothing was there."""
        return self.folder if self.folder.exists() else None

    def keep(self, folder: Path) -> None:
        """Move the folder of a task there."""
        place = self.folder / folder.relative_to(self._state)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        move(folder, place)

    def keep_database(self) -> None:
        """Have the database there as well, and take away what stands beside it for it alone."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for name in (DATABASE, f"{DATABASE}-wal"):
            with suppress(FileNotFoundError):
                os.link(self._state / name, self.folder / name)
        sync_folder(self.folder)
        for name in (f"{DATABASE}-wal", f"{DATABASE}-shm"):
            (self._state / name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Settled:
    """What a restored database says: what became of its open tasks, whose folders it knows, and who should have one."""

    identity: str
    held: Held
    known: set[str]
    expecting: set[str]


async def _settle(database: Path, names: Collection[str]) -> _Settled:
    """Bring a database up to date, and settle its open tasks; `names` are those of the folders that there are."""
    async with open_store(database) as store:
        upkeep = store.upkeep
        held = await upkeep.hold_restored(now())
        return _Settled(
            await upkeep.identity(), held, await upkeep.having_folders(names), await upkeep.expecting_folders()
        )


@contextmanager
def _stage(state: Path) -> Iterator[Path]:
    """A folder in the state folder, so that what is in it only need be renamed; those of killed ones are deleted."""
    for left in state.glob(f"{_STAGE}*"):
        delete_tree(left)
    stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=state))
    try:
        for name in FOLDERS:
            (stage / name).mkdir(mode=0o700)
        yield stage
    finally:
        delete_tree(stage)


def _unused(folder: Path, name: str) -> Path:
    names = (f"{name}{suffix}" for suffix in ("", *(f"-{number}" for number in range(2, 1000))))
    return next(path for path in map(folder.__truediv__, names) if not path.exists())
