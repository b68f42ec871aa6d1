"""What keeps a store from growing for ever: each of these is one short transaction, for others to be served between."""

from collections.abc import Collection, Iterable, Sequence

from storage.records.clock import Clock
from storage.records.retention import Ended, RemovedChunk
from storage.sqlite import clock, restored
from storage.sqlite.database import Database
from storage.sqlite.operations import retention
from storage.sqlite.relations import task_folders
from storage.sqlite.restored import HeldTasks


class StoreMaintenance:
    """The work of a sweep on one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def expired(self, ended_by: int, after: Ended) -> tuple[list[int], Ended | None]:
        """Tasks that can go, among the next that ended by then; and where to look on, None at the end."""
        return await self._db.read(retention.expired, ended_by, after)

    async def remove_expired(self, seqs: Sequence[int], ended_by: int) -> RemovedChunk:
        """Remove as many of these tasks as one transaction should."""
        return await self._db.write_end(retention.remove_expired, seqs, ended_by)

    async def with_log(self, ended_by: int) -> list[int]:
        """The next tasks that ended by then and still have their log."""
        return await self._db.read(retention.with_log, ended_by)

    async def remove_logs(self, seqs: Sequence[int], ended_by: int, at: int) -> list[int]:
        """Remove as much of the logs of these tasks as one transaction should; returns those that are left."""
        return await self._db.write_end(retention.remove_logs, seqs, ended_by, at)

    async def with_workspace(self, ended_by: int) -> list[str]:
        """The ids of the next tasks that ended by then and still have their folder."""
        return await self._db.read(retention.with_workspace, ended_by)

    async def give_up_workspace(self, task_id: str, ended_by: int, at: int) -> bool:
        """Note that a task has no folder any more, before it is removed; not if the task goes on, or shares it."""
        return await self._db.write_end(retention.give_up_workspace, task_id, ended_by, at)

    async def identity(self) -> str:
        """The random id of the database, which the folders of its tasks bear too."""
        return await self._db.read(task_folders.identity)

    async def known_folders(self, names: Iterable[str]) -> set[str]:
        """Those of these names that are tasks whose folder was not given up."""
        return await self._db.read(task_folders.known, names)

    async def expected_folders(self, ids: Collection[str] | None = None) -> set[str]:
        """Those of these tasks, or of all, that should have a folder of their own."""
        return await self._db.read(task_folders.expected, ids)

    async def given_up_folders(self) -> set[str]:
        """The tasks whose folders were given up, and may still be there."""
        return await self._db.read(task_folders.given_up)

    async def forget_folders(self, task_ids: Iterable[str]) -> None:
        """Note that the folders of these tasks, which were given up, are not there any more."""
        await self._db.write_end(task_folders.forget, list(task_ids))

    async def hold_restored(self, at: int) -> HeldTasks:
        """Settle the open tasks of a database that came out of a backup: none goes on before somebody says so."""
        return await self._db.write(restored.hold, at)

    async def observe_clock(self, at: int, ran_us: int) -> bool:
        """Note that it is `at`, and that the server has run so long since the last time; whether it is believed."""
        return await self._db.write_soon(clock.observe, at, ran_us)

    async def believe_clock(self, at: int) -> None:
        """Take `at` for the right time."""
        await self._db.write(clock.believe, at)

    async def clock(self) -> Clock:
        """What is known of the time."""
        return await self._db.read(clock.get)

    async def vacuum(self) -> bool:
        """Give some of the room that is free in the file back to the disk; whether there is more."""
        return await self._db.vacuum()

    async def tidy(self) -> None:
        """Empty the log of changes (WAL), and look after the statistics of the indexes."""
        await self._db.tidy()
