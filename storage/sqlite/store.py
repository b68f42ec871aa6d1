"""The store on one SQLite file: each operation is a transaction, or a few; see `storage.sqlite.operations`.

What each does, and which errors it raises, is said in `storage.interface`.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Unpack

import anyio

from storage.interface import Store
from storage.records.calls import Call, Decision, DecisionResult, Grant
from storage.records.graphs import Graph
from storage.records.lists import Filter, Page, Position, Total
from storage.records.recovery import Leftover, Recovery
from storage.records.secrets import SecretRecord
from storage.records.states import Status
from storage.records.tasks import (
    CancellationResult,
    CreationResult,
    NewTask,
    NewTurn,
    Principal,
    Progress,
    Run,
    SecretSource,
    SentKey,
    Snapshot,
    Task,
    Update,
)
from storage.records.workspaces import Checkout, FolderNotes, Workspace, WorktreeOutcome, WorktreeRecord
from storage.sqlite.database import Database
from storage.sqlite.events import EventLog
from storage.sqlite.listing import graph as graphs
from storage.sqlite.listing import id_prefixes, pages, progress
from storage.sqlite.operations import calls, cancellation, deletion, grants, run_ends, runs, tasks, updates
from storage.sqlite.operations import sent_keys as sent_messages
from storage.sqlite.relations import folder_locks, folders, propagation, subtasks, task_secrets
from storage.sqlite.run_store import SqliteRunStore
from storage.sqlite.upkeep import SqliteMaintenance
from storage.times import now


class SqliteStore(SqliteRunStore, Store):
    """Tasks in one SQLite file, each operation as `Store` says. Made by `open_store`."""

    def __init__(self, database: Database, events: EventLog) -> None:
        super().__init__(database, events)
        self.changes = database.changes
        self.maintenance = SqliteMaintenance(database)

    # Operations of a principal.

    async def create_task(self, principal: Principal, new: NewTask) -> CreationResult:
        return await self._db.write(tasks.create, principal, new, now())

    async def repeated(self, principal: Principal, key: str | None, digest: str) -> CreationResult | None:
        return await self._db.read(tasks.repeated, principal, key, digest)

    async def open_turn(self, principal: Principal, task_id: str, new: NewTurn) -> Task:
        while (task := await self._db.write(tasks.open_turn, principal, task_id, new, now())) is None:
            pass  # other writers get their turn between the chunks in which its dependants are updated
        return task

    async def resume_with_secrets(
        self, principal: Principal, task_id: str, unneeded: Collection[str] = (), key: SentKey | None = None
    ) -> Task:
        return await self._db.write(tasks.resume_with_secrets, principal, task_id, unneeded, now(), key)

    async def was_sent(self, principal: Principal, task_id: str, sent: SentKey) -> bool:
        return await self._db.read(sent_messages.was_sent, principal, task_id, sent)

    async def task(self, principal: Principal, task_id: str) -> Task:
        return await self._db.read(tasks.get, principal, task_id)

    async def secret_names(self, principal: Principal, task_id: str) -> dict[str, SecretSource]:
        return await self._db.read(tasks.secret_names, principal, task_id)

    async def workspace(self, principal: Principal, task_id: str) -> Workspace | None:
        return await self._db.read(folder_locks.owned_by, principal, task_id)

    async def snapshot(
        self,
        principal: Principal,
        task_id: str,
        *,
        messages: bool = False,
        graph: bool = False,
        events_after: int | None = None,
        max_events: int = 0,
        asker: int | None = None,
        since: int | None = None,
    ) -> Snapshot:
        return await self._db.read(
            tasks.snapshot,
            principal,
            task_id,
            messages=messages,
            graph=graph,
            events_after=events_after,
            max_events=max_events,
            asker=asker,
            since=since,
        )

    async def progress(self, principal: Principal, task_id: str) -> Progress:
        return await self._db.read(progress.progress, principal, task_id)

    async def find(
        self,
        principal: Principal,
        wanted: Filter,
        limit: int,
        offset: int = 0,
        after: Position | None = None,
        known: Total | None = None,
    ) -> Page:
        return await self._db.read(pages.find, principal, wanted, limit, offset, after, known)

    async def graph(self, principal: Principal, task_list: str, limit: int, offset: int) -> Graph:
        return await self._db.read(graphs.graph, principal, task_list, limit, offset)

    async def update(self, principal: Principal, task_id: str, update: Update) -> Task:
        await self._ending(updates.update, principal, task_id, update, now())
        return await self.task(principal, task_id)

    async def bring_files(self, principal: Principal, task_id: str, files: Mapping[str, str]) -> None:
        await self._db.write(tasks.bring_files, principal, task_id, files)

    async def resume(self, principal: Principal, task_id: str, key: SentKey | None = None) -> Task:
        return await self._db.write(tasks.resume, principal, task_id, now(), key)

    async def cancel(self, principal: Principal, task_id: str) -> CancellationResult:
        return await self._ending(cancellation.cancel, principal, task_id, principal.name, now())

    async def at_work_beneath(self, principal: Principal, task_id: str) -> list[str]:
        return await self._db.read(runs.at_work_beneath, principal, task_id)

    async def ids_with_prefix(self, principal: Principal, start: str, asker: int | None) -> list[str]:
        return await self._db.read(id_prefixes.ids_with_prefix, principal, start, asker)

    async def is_beneath(self, principal: Principal, task_id: str, above: int) -> bool:
        return await self._db.read(subtasks.is_beneath, principal, task_id, above)

    async def approvals_beneath(self, task: Task) -> list[str]:
        return await self._db.read(subtasks.awaiting_approval, task.seq)

    async def stopping_beneath(self, run: Run) -> list[str]:
        return await self._db.read(subtasks.stopping, run.seq)

    async def open_deletion_set(self, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
        return await self._db.read(deletion.open_deletion_set, principal, task_id, cascade=cascade)

    async def removable(self, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
        return await self._db.read(deletion.removable, principal, task_id, cascade=cascade)

    async def delete(self, principal: Principal, task_id: str, *, cascade: bool = False) -> list[str]:
        deleted: list[str] = []
        going = await self._db.read(deletion.removable, principal, task_id, cascade=cascade)
        while going:
            some, going = await self._db.write_end(
                deletion.delete_some, principal, task_id, going, now(), cascade=cascade
            )
            deleted += some
        return deleted

    async def call(self, principal: Principal, task_id: str, call_id: str) -> Call:
        return await self._db.read(calls.get, principal, task_id, call_id)

    async def decide_call(
        self, principal: Principal, task_id: str, call_id: str, decision: Decision, *, secrets_at_hand: bool
    ) -> DecisionResult:
        return await self._db.write(
            calls.decide, principal, task_id, call_id, decision, secrets_at_hand=secrets_at_hand, at=now()
        )

    async def grants(self, principal: Principal) -> list[Grant]:
        return await self._db.read(grants.in_force, principal, now())

    async def revoke_grant(self, principal: Principal, grant_id: str) -> None:
        await self._db.write(grants.revoke, principal, grant_id, now())

    # Operations of the server itself, across principals.

    async def secrets_of_all_turns(self, task_id: str) -> list[SecretRecord]:
        return await self._db.read(task_secrets.of_all_turns, task_id)

    async def shared_from(self, task_id: str) -> list[str]:
        return await self._db.read(task_secrets.shared_from, task_id)

    async def leftovers(self) -> list[Leftover]:
        return await self._db.read(runs.leftovers)

    async def recover(self) -> Recovery:
        return await self._ending(run_ends.recover, now())

    async def propagate(self) -> bool:
        return await self._db.write(propagation.propagate, now())

    async def wake(self) -> bool:
        return await self._db.write(subtasks.wake, now())

    async def next_wake(self) -> int | None:
        return await self._db.read(subtasks.next_wake)

    async def having_active_subtasks(self, seqs: Collection[int]) -> set[int]:
        return await self._db.read(subtasks.having_active, seqs) if seqs else set()

    async def expire_calls(self) -> list[str]:
        return await self._db.write(calls.expire, now())

    async def next_expiry(self) -> int | None:
        return await self._db.read(calls.next_expiry)

    async def worktrees(self, task_id: str | None = None) -> list[WorktreeRecord]:
        return await self._db.read(folder_locks.worktrees, task_id)

    async def record_worktree(self, task_id: str, checkout: Checkout, outcome: WorktreeOutcome) -> None:
        await self._db.write(folder_locks.record, task_id, checkout, outcome)

    async def note_folder(self, task_id: str, **changes: Unpack[FolderNotes]) -> None:
        await self._db.write(folder_locks.note, task_id, changes)

    async def first_protected(self, path: str, found: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
        first = await self._db.read(folders.first_protected, path)
        if found and not first:
            return await self._db.write(folders.record_protected, path, found)
        return first

    async def reopen_worktree(self, task_id: str) -> None:
        await self._db.write(folder_locks.reopen, task_id)

    async def give_up_worktree(self, task_id: str) -> None:
        await self._db.write(folder_locks.give_up, task_id, now())

    async def open_counts(self) -> dict[Status, int]:
        return await self._db.read(tasks.open_counts)


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[SqliteStore]:
    """Open the store in the file at `path`, and close it afterwards."""
    database = await Database.open(path)
    events = EventLog(database)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(events.serve)
            yield SqliteStore(database, events)
            group.cancel_scope.cancel()
    finally:
        await database.aclose()
