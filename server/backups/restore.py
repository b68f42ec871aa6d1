"""Restoring a backup: it is checked, then put in place; the former contents are kept aside."""

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import anyio

from server.backups.archive import FOLDERS, SkippedFiles, unpack
from server.backups.exclusion import moving
from server.backups.replacement import Replacement, recover, staged
from server.backups.writer import reading
from server.daemon.launch import claim
from server.daemon.ownership import Ownership, Purpose
from server.daemon.paths import DATABASE, StatePaths
from server.errors import Code, RemitError
from server.runner.workspace.workspaces import Workspaces
from server.tasks.execution.leftovers import end_leftovers
from storage.database_files import FILE_START, examine, leftovers, open_store
from storage.records.recovery import HeldTasks
from storage.times import now

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """The result of a restore.

    `latest` is the time of the latest event in the backup, in microseconds since 1970; `missing` has the tasks whose
    folders are neither in the backup nor here; `kept_in` is the folder with the former contents, None if there were
    none; `recovered` says what was done first about an interrupted restore.
    """

    tasks: int
    latest: int | None
    held: HeldTasks
    missing: list[str]
    kept_in: Path | None
    left_out: SkippedFiles
    recovered: str | None


def restore(paths: StatePaths, source: Path) -> RestoreReport:
    """Replace the contents of the state folder by the backup `source`; no server may own the folder. Blocks.

    Call it from the main thread. The backup is only read. If it has no task folders, those that are here stay with
    their tasks.

    Raises RemitError: CONFLICT while a server runs or a backup packs the folders, or for a backup of a newer remit;
    NOT_FOUND if there is no such file; VALIDATION_ERROR for one that is damaged or no backup; EXECUTION_ERROR if the
    disk is full or fails; INTERRUPTED if a process of a dead server cannot be ended. Nothing was changed then, unless
    the message says so.
    """
    lock = claim(paths)
    if lock is None:
        raise RemitError(
            Code.CONFLICT, f"a server runs for {paths.state}; end it first: remit server stop, or with --force"
        )
    try:
        with Ownership(paths, Purpose.RESTORE), moving(Path(paths.state)):
            return _restored(Path(paths.state), source)
    finally:
        lock.release()


def _restored(state: Path, source: Path) -> RestoreReport:
    recovered = recover(state)
    with staged(state) as stage:
        return _Restoring(state, stage, recovered).restore(source)


class _Restoring:
    def __init__(self, state: Path, stage: Path, recovered: str | None) -> None:
        self._state = state
        self._stage = stage
        self._recovered = recovered
        self._workspaces = Workspaces(state / "workspaces")
        self._left_out = SkippedFiles()

    def restore(self, source: Path) -> RestoreReport:
        try:
            self._unpack(source)
            contents = examine(self._stage / DATABASE, of=source)
            at_work = leftovers(self._stage / DATABASE)  # before they are settled: then they are open no more
            settled = anyio.run(_settle, self._stage / DATABASE, self._names())
            os.sync()
            end_leftovers((*leftovers(self._state / DATABASE), *at_work), self._state)
            replacement = Replacement.begin(self._state, self._stage, source)
            replacement.perform(settled.known)
        except OSError as error:  # what was begun is undone when the stage is left
            why = f"{source} cannot be restored: {error.strerror or error}; nothing was changed"
            raise RemitError(Code.EXECUTION_ERROR, why) from None
        missing = sorted(settled.expecting.difference(self._names()))
        kept_in = replacement.aside if replacement.aside.exists() else None
        return RestoreReport(
            contents.tasks, contents.latest, settled.held, missing, kept_in, self._left_out, self._recovered
        )

    def _unpack(self, source: Path) -> None:
        """Copy the backup into the stage, checked."""
        try:
            with source.open("rb") as file:
                start = file.read(len(FILE_START))
        except FileNotFoundError:
            raise RemitError(Code.NOT_FOUND, f"there is no file {source}") from None
        if start == FILE_START:
            examine(source, of=source)
            shutil.copyfile(source, self._stage / DATABASE)
        elif start.startswith(_GZIP):
            with reading(source) as tar:
                unpack(tar, self._stage, self._left_out)
        else:
            raise RemitError(Code.VALIDATION_ERROR, f"{source} is no backup of remit")

    def _names(self) -> set[str]:
        """Return the ids of tasks that have a folder: here, set aside by a server's start, or in the backup."""
        there = (name for folder in FOLDERS for name in os.listdir(self._stage / folder))
        return {*self._workspaces.names(), *self._workspaces.lost.names(), *there}


@dataclass(frozen=True, slots=True)
class _RestoredDatabase:
    """Facts from the restored database: held tasks, tasks with a known folder, and tasks that should have one."""

    held: HeldTasks
    known: set[str]
    expecting: set[str]


async def _settle(database: Path, names: Collection[str]) -> _RestoredDatabase:
    """Migrate a database and settle its open tasks; `names` are the folders that exist."""
    async with open_store(database) as store:
        maintenance = store.maintenance
        held = await maintenance.hold_restored(now())
        return _RestoredDatabase(held, await maintenance.known_folders(names), await maintenance.expected_folders())
