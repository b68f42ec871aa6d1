"""The store: atomic operations, each for a principal or for the server itself.

Callers see no SQLite types, so that another store can implement the same interface. `RunStore` has the operations of
runs.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import anyio

from storage.records.calls import Call, Decision, DecisionResult, Grant
from storage.records.graphs import Graph
from storage.records.lists import Filter, Page, Position, Total
from storage.records.secrets import SecretRecord
from storage.records.states import Status
from storage.records.tasks import (
    CancellationResult,
    CreationResult,
    Leftover,
    NewTask,
    NewTurn,
    Principal,
    Progress,
    Recovery,
    Run,
    SecretSource,
    SentKey,
    Snapshot,
    Task,
    Update,
)
from storage.records.workspaces import Checkout, Workspace, WorktreeRecord
from storage.sqlite.database import Database
from storage.sqlite.events import EventLog
from storage.sqlite.listing import graph as graphs
from storage.sqlite.listing import id_prefixes, pages, progress
from storage.sqlite.operations import calls, deletion, runs, tasks, updates
from storage.sqlite.operations import sent_keys as sent_messages
from storage.sqlite.relations import folder_locks, propagation, subtasks, task_secrets
from storage.sqlite.run_store import RunStore
from storage.sqlite.upkeep import StoreMaintenance
from storage.times import now

P = ParamSpec("P")
R = TypeVar("R")


class Store(RunStore):
    """Tasks in one SQLite file. Made by `open_store`."""

    def __init__(self, database: Database, events: EventLog) -> None:
        super().__init__(database, events)
        self.changes = database.changes
        self.maintenance = StoreMaintenance(database)

    # Operations of a principal.

    async def create_task(self, principal: Principal, new: NewTask) -> CreationResult:
        """Insert a task; durable when this returns.

        Raises RemitError (CONFLICT) if its idempotency key was used for another request.
        """
        return await self._db.write(tasks.create, principal, new, now())

    async def repeated(self, principal: Principal, key: str | None, digest: str) -> CreationResult | None:
        """Return the task that an idempotency key created before; None if there is none.

        Raises RemitError (CONFLICT) if the key was used for another request.
        """
        return await self._db.read(tasks.repeated, principal, key, digest)

    async def open_turn(self, principal: Principal, task_id: str, new: NewTurn) -> Task:
        """Add a message to an ended task. Raises RemitError, CONFLICT for one that has not ended."""
        while (task := await self._db.write(tasks.open_turn, principal, task_id, new, now())) is None:
            pass  # other writers get their turn between the chunks in which its dependants are updated
        return task

    async def resume_with_secrets(
        self, principal: Principal, task_id: str, unneeded: Collection[str] = (), key: SentKey | None = None
    ) -> Task:
        """Let a task that was blocked for lost secrets continue, without those it no longer needs."""
        return await self._db.write(tasks.resume_with_secrets, principal, task_id, unneeded, now(), key)

    async def was_sent(self, principal: Principal, task_id: str, sent: SentKey) -> bool:
        """Return whether a message was sent to the task before. Raises RemitError, CONFLICT for another message."""
        return await self._db.read(sent_messages.was_sent, principal, task_id, sent)

    async def task(self, principal: Principal, task_id: str) -> Task:
        """Return one task. Raises RemitError (NOT_FOUND)."""
        return await self._db.read(tasks.get, principal, task_id)

    async def secret_names(self, principal: Principal, task_id: str) -> dict[str, SecretSource]:
        """Return the names of the secrets of the task's turn, with the source of each value."""
        return await self._db.read(tasks.secret_names, principal, task_id)

    async def workspace(self, principal: Principal, task_id: str) -> Workspace | None:
        """Return the user's folder that a task works in; None for a folder of its own."""
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
        """Return a task with its related data, read in one transaction.

        With `since`, the number of an event, what came after it is marked as new. With `asker`, the number of a task,
        only what that task's agent may see is included. Raises RemitError (NOT_FOUND).
        """
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
        """Return a short report on a running task. Raises RemitError (NOT_FOUND)."""
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
        """Return a page of tasks, most recently active first; search results by creation, newest first.

        `known` is the total of the page that ended at `after`: a total that needs counting is not counted again then.
        """
        return await self._db.read(pages.find, principal, wanted, limit, offset, after, known)

    async def graph(self, principal: Principal, task_list: str, limit: int, offset: int) -> Graph:
        """Return how the tasks of a list depend on each other."""
        return await self._db.read(graphs.graph, principal, task_list, limit, offset)

    async def update(self, principal: Principal, task_id: str, update: Update) -> Task:
        """Apply `update`, all of it or nothing. Raises RemitError as `operations.updates.update` does."""
        await self._ending(updates.update, principal, task_id, update, now())
        return await self.task(principal, task_id)

    async def bring_files(self, principal: Principal, task_id: str, files: Mapping[str, str]) -> None:
        """Record the files that come with a message to a task; durable when this returns."""
        await self._db.write(tasks.bring_files, principal, task_id, files)

    async def resume(self, principal: Principal, task_id: str, key: SentKey | None = None) -> Task:
        """Let a paused task continue, with its call budget renewed. Raises RemitError, CONFLICT if it is not paused."""
        return await self._db.write(tasks.resume, principal, task_id, now(), key)

    async def cancel(self, principal: Principal, task_id: str) -> CancellationResult:
        """Cancel a task and everything beneath it; the running ones are returned and still have to be stopped."""
        return await self._ending(runs.cancel, principal, task_id, principal.name, now())

    async def at_work_beneath(self, principal: Principal, task_id: str) -> list[str]:
        """Return the ids of the task and of all beneath it that have an open run, the task itself first."""
        return await self._db.read(runs.at_work_beneath, principal, task_id)

    async def ids_with_prefix(self, principal: Principal, start: str, asker: int | None) -> list[str]:
        """Return the task ids with this prefix that the caller may see."""
        return await self._db.read(id_prefixes.ids_with_prefix, principal, start, asker)

    async def is_beneath(self, principal: Principal, task_id: str, above: int) -> bool:
        """Return whether a task is a sub-task, at any depth, of the task with the number `above`."""
        return await self._db.read(subtasks.is_beneath, principal, task_id, above)

    async def approvals_beneath(self, task: Task) -> list[str]:
        """Return the ids of sub-tasks, at any depth, that wait for approval."""
        return await self._db.read(subtasks.awaiting_approval, task.seq)

    async def stopping_beneath(self, run: Run) -> list[str]:
        """Return the ids of cancelled tasks beneath a run's task whose own runs are still to be ended."""
        return await self._db.read(subtasks.stopping, run.seq)

    async def open_deletion_set(self, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
        """Return the tasks to be cancelled before this one is deleted. Raises RemitError (TASK_HAS_DEPENDENTS)."""
        return await self._db.read(deletion.open_deletion_set, principal, task_id, cascade=cascade)

    async def removable(self, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
        """Return the tasks that deleting this one removes. Raises RemitError, CONFLICT while one of them runs."""
        return await self._db.read(deletion.removable, principal, task_id, cascade=cascade)

    async def delete(self, principal: Principal, task_id: str, *, cascade: bool = False) -> list[str]:
        """Remove a task and everything that goes with it; returns the removed ids.

        Raises RemitError: CONFLICT while one of them runs, TASK_HAS_DEPENDENTS without `cascade`.
        """
        deleted: list[str] = []
        going = await self._db.read(deletion.removable, principal, task_id, cascade=cascade)
        while going:
            some, going = await self._db.write_end(
                deletion.delete_some, principal, task_id, going, now(), cascade=cascade
            )
            deleted += some
        return deleted

    async def call(self, principal: Principal, task_id: str, call_id: str) -> Call:
        """Return one call of a task. Raises RemitError (NOT_FOUND)."""
        return await self._db.read(calls.get, principal, task_id, call_id)

    async def decide_call(
        self, principal: Principal, task_id: str, call_id: str, decision: Decision, *, secrets_at_hand: bool
    ) -> DecisionResult:
        """Approve or refuse a waiting call, once. Raises RemitError as `operations.calls.decide` does."""
        return await self._db.write(
            calls.decide, principal, task_id, call_id, decision, secrets_at_hand=secrets_at_hand, at=now()
        )

    async def grants(self, principal: Principal) -> list[Grant]:
        """Return the grants in force, newest first."""
        return await self._db.read(calls.grants, principal, now())

    async def revoke_grant(self, principal: Principal, grant_id: str) -> None:
        """Revoke a grant. Raises RemitError (NOT_FOUND)."""
        await self._db.write(calls.revoke, principal, grant_id, now())

    # Operations of the server itself, across principals.

    async def secrets_of_all_turns(self, task_id: str) -> list[SecretRecord]:
        """Return the secrets of a task's turns, latest first; then those of tasks that share their folder with it."""
        return await self._db.read(task_secrets.of_all_turns, task_id)

    async def shared_from(self, task_id: str) -> list[str]:
        """Return the ids of the tasks that share their folder with this one, the nearest ancestor first."""
        return await self._db.read(task_secrets.shared_from, task_id)

    async def leftovers(self) -> list[Leftover]:
        """Return the runs that a dead server left open."""
        return await self._db.read(runs.leftovers)

    async def recover(self) -> Recovery:
        """Settle the open runs of a dead server. Call it once their processes have ended."""
        return await self._ending(runs.recover, now())

    async def propagate(self) -> bool:
        """Update the next dependants of ended tasks; returns whether some are left."""
        return await self._db.write(propagation.propagate, now())

    async def wake(self) -> bool:
        """Resume the tasks whose time of waiting for sub-tasks is over; returns whether there were any."""
        return await self._db.write(subtasks.wake, now())

    async def next_wake(self) -> int | None:
        """Return when the next task stops waiting for its sub-tasks; None if none waits."""
        return await self._db.read(subtasks.next_wake)

    async def having_active_subtasks(self, seqs: Collection[int]) -> set[int]:
        """Return those of these tasks whose agents may wait for sub-tasks that run, or would if there was a slot."""
        return await self._db.read(subtasks.having_active, seqs) if seqs else set()

    async def expire_calls(self) -> list[str]:
        """Refuse waiting calls whose time has passed; returns the ids of their tasks."""
        return await self._db.write(calls.expire, now())

    async def next_expiry(self) -> int | None:
        """Return when the next waiting call expires; None if none does."""
        return await self._db.read(calls.next_expiry)

    async def worktrees(self, task_id: str | None = None) -> list[WorktreeRecord]:
        """Return all worktrees on disk, complete or not, or that of one task; the oldest first."""
        return await self._db.read(folder_locks.worktrees, task_id)

    async def record_worktree(self, task_id: str, checkout: Checkout, outcome: dict[str, Any]) -> None:
        """Record the findings about a worktree."""
        await self._db.write(folder_locks.record, task_id, checkout, outcome)

    async def note_folder(self, task_id: str, **changes: object) -> None:
        """Merge notes about a folder that a task works in directly (not through a worktree)."""
        await self._db.write(folder_locks.note, task_id, changes)

    async def reopen_worktree(self, task_id: str) -> None:
        """Mark a worktree to be examined again."""
        await self._db.write(folder_locks.reopen, task_id)

    async def give_up_worktree(self, task_id: str) -> None:
        """Record that a worktree is gone, and the task's folder with it."""
        await self._db.write(folder_locks.give_up, task_id, now())

    async def open_counts(self) -> dict[Status, int]:
        """Return the number of open tasks in each status."""
        return await self._db.read(tasks.open_counts)


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[Store]:
    """Open the store in the file at `path`, and close it afterwards."""
    database = await Database.open(path)
    events = EventLog(database)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(events.serve)
            yield Store(database, events)
            group.cancel_scope.cancel()
    finally:
        await database.aclose()
