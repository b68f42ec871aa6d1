"""The store: whole operations, each one atomic, each one for a principal or for a run that holds its task.

Nothing of SQLite leaks out of it, so that another store can stand beside it.
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

    # What a principal does.

    async def create_task(self, principal: Principal, new: NewTask) -> CreationResult:
        """Insert a task; durable when this returns. CONFLICT for an idempotency key of another request."""
        return await self._db.write(tasks.create, principal, new, now())

    async def repeated(self, principal: Principal, key: str | None, digest: str) -> CreationResult | None:
        """What an idempotency key made before; CONFLICT if it was for another request."""
        return await self._db.read(tasks.repeated, principal, key, digest)

    async def open_turn(self, principal: Principal, task_id: str, new: NewTurn) -> Task:
        """Add a message to an ended task; CONFLICT for one that has not ended."""
        while (task := await self._db.write(tasks.open_turn, principal, task_id, new, now())) is None:
            pass  # others wait their turn between the chunks in which its dependants are told of its end
        return task

    async def resume_with_secrets(
        self, principal: Principal, task_id: str, unneeded: Collection[str] = (), key: SentKey | None = None
    ) -> Task:
        """Let a task that was blocked for its lost secrets go on, without those it does not need any more."""
        return await self._db.write(tasks.resume_with_secrets, principal, task_id, unneeded, now(), key)

    async def was_sent(self, principal: Principal, task_id: str, sent: SentKey) -> bool:
        """Whether a message was sent to the task before; CONFLICT if its key was used for another one."""
        return await self._db.read(sent_messages.was_sent, principal, task_id, sent)

    async def task(self, principal: Principal, task_id: str) -> Task:
        """One task."""
        return await self._db.read(tasks.get, principal, task_id)

    async def secret_names(self, principal: Principal, task_id: str) -> dict[str, SecretSource]:
        """The names of the secrets of a task's turn and how each value comes."""
        return await self._db.read(tasks.secret_names, principal, task_id)

    async def workspace(self, principal: Principal, task_id: str) -> Workspace | None:
        """The folder of the user's that a task works in; None for one of its own."""
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
        """A task with all that belongs to it, read at one instant; what came after the event `since` is told apart.

        For the agent of the task with the number `asker`, without what is not beneath that.
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
        """A task at work, in short."""
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
        """A page of tasks, most recently active first; those of a search by creation.

        `known` is the total of the page that ended at `after`: what has no tally is not counted again then.
        """
        return await self._db.read(pages.find, principal, wanted, limit, offset, after, known)

    async def graph(self, principal: Principal, task_list: str, limit: int, offset: int) -> Graph:
        """How the tasks of a list depend on each other."""
        return await self._db.read(graphs.graph, principal, task_list, limit, offset)

    async def update(self, principal: Principal, task_id: str, update: Update) -> Task:
        """Change what `update` names, all of it or nothing."""
        await self._ending(updates.update, principal, task_id, update, now())
        return await self.task(principal, task_id)

    async def bring_files(self, principal: Principal, task_id: str, files: Mapping[str, str]) -> None:
        """Note which files come with a message to a task; durable when this returns."""
        await self._db.write(tasks.bring_files, principal, task_id, files)

    async def resume(self, principal: Principal, task_id: str, key: SentKey | None = None) -> Task:
        """Give a paused task its budget of calls once more; CONFLICT for one that is not paused."""
        return await self._db.write(tasks.resume, principal, task_id, now(), key)

    async def cancel(self, principal: Principal, task_id: str) -> CancellationResult:
        """Ask for the end of a task and of everything beneath it; `running` ones are still to be stopped."""
        return await self._ending(runs.cancel, principal, task_id, principal.name, now())

    async def at_work_beneath(self, principal: Principal, task_id: str) -> list[str]:
        """The ids of a task and of all beneath it whose runs are under way, the task itself first."""
        return await self._db.read(runs.at_work_beneath, principal, task_id)

    async def ids_with_prefix(self, principal: Principal, start: str, asker: int | None) -> list[str]:
        """The ids of tasks that begin so, of which whoever asks may know."""
        return await self._db.read(id_prefixes.ids_with_prefix, principal, start, asker)

    async def is_beneath(self, principal: Principal, task_id: str, above: int) -> bool:
        """Whether a task is a sub-task of the one with this number, at any depth."""
        return await self._db.read(subtasks.is_beneath, principal, task_id, above)

    async def approvals_beneath(self, task: Task) -> list[str]:
        """The tasks beneath this one, at any depth, that wait for approval."""
        return await self._db.read(subtasks.awaiting_approval, task.seq)

    async def stopping_beneath(self, run: Run) -> list[str]:
        """The tasks beneath that of a run which were cancelled and whose own runs are still to be ended."""
        return await self._db.read(subtasks.stopping, run.seq)

    async def open_deletion_set(self, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
        """The tasks to be cancelled before a deletion of this one; TASK_HAS_DEPENDENTS where it would be refused."""
        return await self._db.read(deletion.open_deletion_set, principal, task_id, cascade=cascade)

    async def removable(self, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
        """The tasks that a deletion of this one removes; CONFLICT while one of them runs."""
        return await self._db.read(deletion.removable, principal, task_id, cascade=cascade)

    async def delete(self, principal: Principal, task_id: str, *, cascade: bool = False) -> list[str]:
        """Remove a task and all that goes with it; CONFLICT while one of them runs. Returns their ids."""
        deleted: list[str] = []
        going = await self._db.read(deletion.removable, principal, task_id, cascade=cascade)
        while going:
            some, going = await self._db.write_end(
                deletion.delete_some, principal, task_id, going, now(), cascade=cascade
            )
            deleted += some
        return deleted

    async def call(self, principal: Principal, task_id: str, call_id: str) -> Call:
        """One call of a task; NOT_FOUND for one that is not there."""
        return await self._db.read(calls.get, principal, task_id, call_id)

    async def decide_call(
        self, principal: Principal, task_id: str, call_id: str, decision: Decision, *, secrets_at_hand: bool
    ) -> DecisionResult:
        """Answer a waiting call, once."""
        return await self._db.write(
            calls.decide, principal, task_id, call_id, decision, secrets_at_hand=secrets_at_hand, at=now()
        )

    async def grants(self, principal: Principal) -> list[Grant]:
        """The grants in force, newest first."""
        return await self._db.read(calls.grants, principal, now())

    async def revoke_grant(self, principal: Principal, grant_id: str) -> None:
        """Take a grant back."""
        await self._db.write(calls.revoke, principal, grant_id, now())

    # What the server does for itself, across principals.

    async def secrets_of_all_turns(self, task_id: str) -> list[SecretRecord]:
        """The secrets of a task's turns, the latest first; then those of the tasks that share their folder with it."""
        return await self._db.read(task_secrets.of_all_turns, task_id)

    async def shared_from(self, task_id: str) -> list[str]:
        """The tasks that share their folder with this one, the nearest first."""
        return await self._db.read(task_secrets.shared_from, task_id)

    async def leftovers(self) -> list[Leftover]:
        """The runs a dead server left open."""
        return await self._db.read(runs.leftovers)

    async def recover(self) -> Recovery:
        """Settle what a dead server left, once its processes are gone."""
        return await self._ending(runs.recover, now())

    async def propagate(self) -> bool:
        """Tell the next of those that waited for tasks which have ended; whether some are left."""
        return await self._db.write(propagation.propagate, now())

    async def wake(self) -> bool:
        """Let the tasks go on that have waited long enough for others; whether there were any."""
        return await self._db.write(subtasks.wake, now())

    async def next_wake(self) -> int | None:
        """When the next task has waited long enough for others."""
        return await self._db.read(subtasks.next_wake)

    async def having_active_subtasks(self, seqs: Collection[int]) -> set[int]:
        """Those of these tasks whose agents may wait for others that are at work, or would be if there was a place."""
        return await self._db.read(subtasks.having_active, seqs) if seqs else set()

    async def expire_calls(self) -> list[str]:
        """Turn approvals whose time has passed into a no; returns the ids of their tasks."""
        return await self._db.write(calls.expire, now())

    async def next_expiry(self) -> int | None:
        """When the next waiting approval expires."""
        return await self._db.read(calls.next_expiry)

    async def worktrees(self, task_id: str | None = None) -> list[WorktreeRecord]:
        """All worktrees that are there, or half there, or that of one task; the oldest first."""
        return await self._db.read(folder_locks.worktrees, task_id)

    async def record_worktree(self, task_id: str, checkout: Checkout, outcome: dict[str, Any]) -> None:
        """Note what a look at a worktree has found."""
        await self._db.write(folder_locks.record, task_id, checkout, outcome)

    async def note_folder(self, task_id: str, **changes: object) -> None:
        """Note something of a folder that a task works in itself, and not on a worktree."""
        await self._db.write(folder_locks.note, task_id, changes)

    async def reopen_worktree(self, task_id: str) -> None:
        """Note that a worktree is to be looked at once more."""
        await self._db.write(folder_locks.reopen, task_id)

    async def give_up_worktree(self, task_id: str) -> None:
        """Note that a worktree is gone, and the task's folder with it."""
        await self._db.write(folder_locks.give_up, task_id, now())

    async def open_counts(self) -> dict[Status, int]:
        """How many tasks are in each state that is not an end."""
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
