"""Operations that keep a store from growing: each is one short transaction, so that others are served in between."""

from collections.abc import Collection, Iterable, Sequence

from storage.records.clock import Clock
from storage.records.retention import Ended, RemovedChunk
from storage.sqlite import clock, restored
from storage.sqlite.database import Database
from storage.sqlite.operations import retention
from storage.sqlite.relations import task_folders
from storage.sqlite.restored import HeldTasks


class StoreMaintenance:
    """The maintenance operations on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def expired(self, ended_by: int, after: Ended) -> tuple[list[int], Ended | None]:
        """Return removable tasks among the next that ended by `ended_by`, and where to continue; None at the end."""
        return await self._db.read(retention.expired, ended_by, after)

    async def remove_expired(self, seqs: Sequence[int], ended_by: int) -> RemovedChunk:
        """Remove as many of these tasks as one transaction should."""
        return await self._db.write_end(retention.remove_expired, seqs, ended_by)

    async def with_log(self, ended_by: int) -> list[int]:
        """Return the next tasks that ended by `ended_by` and still have their log."""
        return await self._db.read(retention.with_log, ended_by)

    async def remove_logs(self, seqs: Sequence[int], ended_by: int, at: int) -> list[int]:
        """Remove as much of the logs of these tasks as one transaction should; returns the tasks that are left."""
        return await self._db.write_end(retention.remove_logs, seqs, ended_by, at)

    async def with_workspace(self, ended_by: int) -> list[str]:
        """Return the ids of the next tasks that ended by `ended_by` and still have their folder."""
        return await self._db.read(retention.with_workspace, ended_by)

    async def give_up_workspace(self, task_id: str, ended_by: int, at: int) -> bool:
        """Record that a task's folder is gone, before it is deleted; False if the task reopened or shares it."""
        return await self._db.write_end(retention.give_up_workspace, task_id, ended_by, at)

    async def identity(self) -> str:
        """Return the random id of the database, which is also written into its tasks' folders."""
        return await self._db.read(task_folders.identity)

    async def known_folders(self, names: Iterable[str]) -> set[str]:
        """Return those of these names that are ids of tasks whose folder was not given up."""
        return await self._db.read(task_folders.known, names)

    async def expected_folders(self, ids: Collection[str] | None = None) -> set[str]:
        """Return those of these tasks, or of all, that should have a folder of their own."""
        return await self._db.read(task_folders.expected, ids)

    async def given_up_folders(self) -> set[str]:
        """Return the ids of tasks whose folders were given up, and may still be on disk."""
        return await self._db.read(task_folders.given_up)

    async def forget_folders(self, task_ids: Iterable[str]) -> None:
        """Record that the given-up folders of these tasks are no longer on disk."""
        await self._db.write_end(task_folders.forget, list(task_ids))

    async def hold_restored(self, at: int) -> HeldTasks:
        """Settle and pause the open tasks of a restored database: none continues before a person says so."""
        return await self._db.write(restored.hold, at)

    async def observe_clock(self, at: int, ran_us: int) -> bool:
        """Record that it is `at`, after `ran_us` of work since the last call; returns whether `at` is trusted."""
        return await self._db.write_soon(clock.observe, at, ran_us)

    async def believe_clock(self, at: int) -> None:
        """Trust `at` from now on."""
        await self._db.write(clock.believe, at)

    async def clock(self) -> Clock:
        """Return the last trusted time and the time in doubt since."""
        return await self._db.read(clock.get)

    async def vacuum(self) -> bool:
        """Return some of the file's free space to the disk; returns whether there is more."""
        return await self._db.vacuum()

    async def tidy(self) -> None:
        """Checkpoint the WAL into the file and truncate it."""
        await self._db.tidy()
