"""The store: whole operations, each one atomic, each one for a principal or for a run that holds its task.

Nothing of SQLite leaks out of it, so that another store can stand beside it.
"""

import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from storage import calls, runs, tasks
from storage.changes import Changes
from storage.database import Database
from storage.events import EventLog
from storage.records import (
    Call,
    CallResult,
    Claim,
    Created,
    Decided,
    Decision,
    Grant,
    Leftover,
    NewCall,
    NewEvent,
    NewTask,
    NewTurn,
    Principal,
    Run,
    RunEnd,
    SecretSource,
    Settled,
    Snapshot,
    Task,
    TaskPage,
)
from storage.states import Status


def now() -> int:
    """The time as the store keeps it: microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


class Store:
    """Tasks in one SQLite file. Made by `open_store`."""

    def __init__(self, database: Database, events: EventLog) -> None:
        self._db = database
        self._events = events
        self.changes = Changes()

    # What a principal does.

    async def create_task(self, principal: Principal, new: NewTask) -> Created:
        """Insert a task; durable when this returns. CONFLICT for an idempotency key of another request."""
        return await self._db.write(tasks.create, principal, new, now())

    async def repeated(self, principal: Principal, key: str | None, digest: str) -> Created | None:
        """What an idempotency key made before; CONFLICT if it was for another request."""
        return await self._db.read(tasks.repeated, principal, key, digest)

    async def open_turn(self, principal: Principal, task_id: str, new: NewTurn) -> Task:
        """Add a message to an ended task; CONFLICT for one that has not ended."""
        result = await self._db.write(tasks.open_turn, principal, task_id, new, now())
        self.changes.tell(task_id)
        return result

    async def secrets_are_back(self, principal: Principal, task_id: str, unneeded: Collection[str] = ()) -> Task:
        """Let a task that was blocked for its lost secrets go on, without those it does not need any more."""
        result = await self._db.write(tasks.secrets_are_back, principal, task_id, unneeded, now())
        self.changes.tell(task_id)
        return result

    async def task(self, principal: Principal, task_id: str) -> Task:
        """One task."""
        return await self._db.read(tasks.get, principal, task_id)

    async def secret_names(self, principal: Principal, task_id: str) -> dict[str, SecretSource]:
        """The names of the secrets of a task's turn and how each value comes."""
        return await self._db.read(tasks.secret_names, principal, task_id)

    async def snapshot(
        self,
        principal: Principal,
        task_id: str,
        *,
        messages: bool = False,
        events_after: int | None = None,
        max_events: int = 0,
    ) -> Snapshot:
        """A task with all that belongs to it, read at one instant."""
        return await self._db.read(
            tasks.snapshot,
            principal,
            task_id,
            messages=messages,
            events_after=events_after,
            max_events=max_events,
        )

    async def page(
        self, principal: Principal, statuses: Collection[Status], limit: int, offset: int
    ) -> tuple[TaskPage, dict[int, int]]:
        """A page of tasks, most recently active first, with the number of waiting calls by `seq`."""
        page = await self._db.read(tasks.page, principal, statuses, limit, offset)
        waiting = [task.seq for task in page.tasks if task.status in (Status.RUNNING, Status.AWAITING_APPROVAL)]
        return page, await self._db.read(tasks.waiting_calls, waiting) if waiting else {}

    async def cancel(self, principal: Principal, task_id: str) -> Status:
        """Ask for the end of a task; returns its status, `running` while its processes are ended."""
        result = await self._db.write(runs.cancel, principal, task_id, principal.name, now())
        self.changes.tell(task_id)
        return result

    async def delete(self, principal: Principal, task_id: str) -> None:
        """Remove a task and all that belongs to it; CONFLICT while it runs."""
        await self._db.write(tasks.delete, principal, task_id)
        self.changes.tell(task_id)

    async def decide_call(
        self, principal: Principal, task_id: str, call_id: str, decision: Decision, *, secrets_at_hand: bool
    ) -> Decided:
        """Answer a waiting call, once."""
        result = await self._db.write(
            calls.decide, principal, task_id, call_id, decision, secrets_at_hand=secrets_at_hand, at=now()
        )
        self.changes.tell(task_id)
        return result

    async def grants(self, principal: Principal) -> list[Grant]:
        """The grants in force, newest first."""
        return await self._db.read(calls.grants, principal, now())

    async def revoke_grant(self, principal: Principal, grant_id: str) -> None:
        """Take a grant back."""
        await self._db.write(calls.revoke, principal, grant_id, now())

    # What a run does; each of these raises CONFLICT once the run's fence is stale. What nobody was told of need not
    # be synced by itself: the beginning of a call and the end of a run are, and what came before them with them.

    async def claim_run(self, owner: str) -> Claim | None:
        """Start a run of the task that has waited longest; None when nothing waits."""
        claim = await self._db.write_soon(runs.claim, owner, now())
        if claim:
            self.changes.tell(claim.task.id)
        return claim

    async def record_process(self, run: Run, process: dict[str, object], sandbox: str) -> None:
        """Note which process does the run's work, and in which tier of the sandbox."""
        await self._db.write_soon(runs.record_process, run, process, sandbox)

    async def append_events(self, run: Run, events: list[NewEvent]) -> int:
        """Append to the task's log; returns the number of the last event."""
        result = await self._events.append(run, events, now())
        self.changes.tell(run.task_id)
        return result

    async def announce_calls(self, run: Run, new: Sequence[NewCall]) -> list[Call]:
        """Make the turn's calls known; returns all of them in order."""
        result = await self._db.write_soon(calls.announce, run, new, now())
        self.changes.tell(run.task_id)
        return result

    async def begin_call(self, run: Run, call_id: str, expires_at: int | None) -> Call:
        """Let a call proceed if it may, else have it wait for approval."""
        result = await self._db.write(calls.begin, run, call_id, expires_at, now())
        self.changes.tell(run.task_id)
        return result

    async def keep_output(self, run: Run, call_id: str, output: str, dropped: int) -> None:
        """Note what a call that is being cut off has written."""
        await self._db.write_soon(calls.keep_output, run, call_id, output, dropped)

    async def end_call(self, run: Run, call_id: str, result: CallResult) -> None:
        """Note how an executed call ended."""
        await self._db.write_soon(calls.end, run, call_id, result, now())
        self.changes.tell(run.task_id)

    async def suspend_run(self, run: Run, ran_us: int = 0) -> Status:
        """End a run that waits for a decision, after so many microseconds of work."""
        result = await self._db.write(runs.suspend, run, ran_us, now())
        self.changes.tell(run.task_id)
        return result

    async def block_run(self, run: Run, ran_us: int = 0) -> Status:
        """End a run whose secrets are gone."""
        result = await self._db.write(runs.block, run, ran_us, now())
        self.changes.tell(run.task_id)
        return result

    async def interrupt_run(self, run: Run, ran_us: int = 0) -> Status:
        """End a run whose server ends."""
        return await self._db.write(runs.interrupt, run, ran_us, now())

    async def finish_run(self, run: Run, end: RunEnd, ran_us: int = 0) -> Status:
        """End a run and its turn."""
        result = await self._db.write(runs.finish, run, end, ran_us, now())
        self.changes.tell(run.task_id)
        return result

    # What the server does for itself, across principals.

    async def leftovers(self) -> list[Leftover]:
        """The runs a dead server left open."""
        return await self._db.read(runs.leftovers)

    async def settle(self) -> Settled:
        """Settle what a dead server left, once its processes are gone."""
        return await self._db.write(runs.settle, now())

    async def expire_calls(self) -> list[str]:
        """Turn approvals whose time has passed into a no; returns the ids of their tasks."""
        expired = await self._db.write(calls.expire, now())
        for task_id in expired:
            self.changes.tell(task_id)
        return expired

    async def next_expiry(self) -> int | None:
        """When the next waiting approval expires."""
        return await self._db.read(calls.next_expiry)

    async def task_ids(self) -> list[str]:
        """The ids of all tasks."""
        return await self._db.read(tasks.ids)

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
