"""Maintenance of one SQLite file: each operation is one short transaction, so that others are served in between."""

from collections.abc import Collection, Iterable, Sequence

from storage.interface import StoreMaintenance
from storage.records.clock import Clock
from storage.records.recovery import HeldTasks
from storage.records.retention import Ended, RemovedChunk
from storage.sqlite import clock, restored
from storage.sqlite.database import Database
from storage.sqlite.operations import retention
from storage.sqlite.relations import task_folders


class SqliteMaintenance(StoreMaintenance):
    """The maintenance operations, each as `StoreMaintenance` says."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def expired(self, ended_by: int, after: Ended) -> tuple[list[int], Ended | None]:
        return await self._db.read(retention.expired, ended_by, after)

    async def remove_expired(self, seqs: Sequence[int], ended_by: int) -> RemovedChunk:
        return await self._db.write_end(retention.remove_expired, seqs, ended_by)

    async def with_log(self, ended_by: int) -> list[int]:
        return await self._db.read(retention.with_log, ended_by)

    async def remove_logs(self, seqs: Sequence[int], ended_by: int, at: int) -> list[int]:
        return await self._db.write_end(retention.remove_logs, seqs, ended_by, at)

    async def with_workspace(self, ended_by: int) -> list[str]:
        return await self._db.read(retention.with_workspace, ended_by)

    async def give_up_workspace(self, task_id: str, ended_by: int, at: int) -> bool:
        return await self._db.write_end(retention.give_up_workspace, task_id, ended_by, at)

    async def identity(self) -> str:
        return await self._db.read(task_folders.identity)

    async def known_folders(self, names: Iterable[str]) -> set[str]:
        return await self._db.read(task_folders.known, names)

    async def expected_folders(self, ids: Collection[str] | None = None) -> set[str]:
        return await self._db.read(task_folders.expected, ids)

    async def given_up_folders(self) -> set[str]:
        return await self._db.read(task_folders.given_up)

    async def forget_folders(self, task_ids: Iterable[str]) -> None:
        await self._db.write_end(task_folders.forget, list(task_ids))

    async def hold_restored(self, at: int) -> HeldTasks:
        return await self._db.write(restored.hold, at)

    async def observe_clock(self, at: int, ran_us: int) -> bool:
        return await self._db.write_soon(clock.observe, at, ran_us)

    async def believe_clock(self, at: int) -> None:
        await self._db.write(clock.believe, at)

    async def clock(self) -> Clock:
        return await self._db.read(clock.get)

    async def vacuum(self) -> bool:
        return await self._db.vacuum()

    async def tidy(self) -> None:
        await self._db.tidy()
