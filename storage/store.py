"""The store: whole operations, each one atomic, each one for a principal or for a run that holds its task.

Nothing of SQLite leaks out of it, so that another store can stand beside it.
"""

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, Unpack

import anyio

from storage import (
    calls,
    conversations,
    deletion,
    listing,
    naming,
    news,
    occupancy,
    propagation,
    runs,
    secrets,
    subtasks,
    tasks,
    turns,
    updates,
)
from storage import graph as graphs
from storage import sent as sent_messages
from storage.database import Database
from storage.events import EventLog
from storage.filters import Filter, Page, Position, Total
from storage.kinship import Graph
from storage.records import (
    Cancelled,
    Claim,
    Created,
    Leftover,
    Look,
    Message,
    NewEvent,
    NewTask,
    NewTurn,
    Principal,
    Run,
    RunEnd,
    SecretSource,
    SentKey,
    Settled,
    Snapshot,
    Task,
    Update,
    Usage,
)
from storage.secrets import Had
from storage.states import Status
from storage.toolcalls import Begun, Call, CallResult, Decided, Decision, Grant, NewCall
from storage.upkeep import Upkeep
from storage.workspace import Checkout, Workspace, Worktree

P = ParamSpec("P")
R = TypeVar("R")


def now() -> int:
    """The time as the store keeps it: microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


class Store:
    """Tasks in one SQLite file. Made by `open_store`."""

    def __init__(self, database: Database, events: EventLog) -> None:
        self._db = database
        self._events = events
        self.changes = database.changes
        self.upkeep = Upkeep(database)

    # What a principal does.

    async def create_task(self, principal: Principal, new: NewTask) -> Created:
        """Insert a task; durable when this returns. CONFLICT for an idempotency key of another request."""
        return await self._db.write(tasks.create, principal, new, now())

    async def repeated(self, principal: Principal, key: str | None, digest: str) -> Created | None:
        """What an idempotency key made before; CONFLICT if it was for another request."""
        return await self._db.read(tasks.repeated, principal, key, digest)

    async def open_turn(self, principal: Principal, task_id: str, new: NewTurn) -> Task:
        """Add a message to an ended task; CONFLICT for one that has not ended."""
        while (task := await self._db.write(tasks.open_turn, principal, task_id, new, now())) is None:
            pass  # others wait their turn between the chunks in which its dependants are told of its end
        return task

    async def secrets_are_back(
        self, principal: Principal, task_id: str, unneeded: Collection[str] = (), key: SentKey | None = None
    ) -> Task:
        """Let a task that was blocked for its lost secrets go on, without those it does not need any more."""
        return await self._db.write(tasks.secrets_are_back, principal, task_id, unneeded, now(), key)

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
        return await self._db.read(occupancy.owned_by, principal, task_id)

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

    async def look(self, principal: Principal, task_id: str) -> Look:
        """A task at work, in short."""
        return await self._db.read(news.look, principal, task_id)

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
        return await self._db.read(listing.find, principal, wanted, limit, offset, after, known)

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

    async def go_on(self, principal: Principal, task_id: str, key: SentKey | None = None) -> Task:
        """Give a paused task its budget of calls once more; CONFLICT for one that is not paused."""
        return await self._db.write(tasks.go_on, principal, task_id, now(), key)

    async def cancel(self, principal: Principal, task_id: str) -> Cancelled:
        """Ask for the end of a task and of everything beneath it; `running` ones are still to be stopped."""
        return await self._ending(runs.cancel, principal, task_id, principal.name, now())

    async def beginning(self, principal: Principal, start: str, asker: int | None) -> list[str]:
        """The ids of tasks that begin so, of which whoever asks may know."""
        return await self._db.read(naming.beginning, principal, start, asker)

    async def is_beneath(self, principal: Principal, task_id: str, above: int) -> bool:
        """Whether a task is a sub-task of the one with this number, at any depth."""
        return await self._db.read(subtasks.is_beneath, principal, task_id, above)

    async def approvals_beneath(self, task: Task) -> list[str]:
        """The tasks beneath this one, at any depth, that wait for approval."""
        return await self._db.read(subtasks.awaiting_approval, task.seq)

    async def stopping_beneath(self, run: Run) -> list[str]:
        """The tasks beneath that of a run which were cancelled and whose own runs are still to be ended."""
        return await self._db.read(subtasks.stopping, run.seq)

    async def open_doomed(self, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
        """The tasks to be cancelled before a deletion of this one; TASK_HAS_DEPENDENTS where it would be refused."""
        return await self._db.read(deletion.open_doomed, principal, task_id, cascade=cascade)

    async def removable(self, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
        """The tasks that a deletion of this one removes; CONFLICT while one of them runs."""
        return await self._db.read(deletion.removable, principal, task_id, cascade=cascade)

    async def delete(self, principal: Principal, task_id: str, *, cascade: bool = False) -> list[str]:
        """Remove a task and all that goes with it; CONFLICT while one of them runs. Returns their ids."""
        deleted: list[str] = []
        going = await self._db.read(deletion.removable, principal, task_id, cascade=cascade)
        while going:
            some, going = await self._db.write(deletion.delete_some, principal, task_id, going, now(), cascade=cascade)
            deleted += some
        return deleted

    async def call(self, principal: Principal, task_id: str, call_id: str) -> Call:
        """One call of a task; NOT_FOUND for one that is not there."""
        return await self._db.read(calls.get, principal, task_id, call_id)

    async def decide_call(
        self, principal: Principal, task_id: str, call_id: str, decision: Decision, *, secrets_at_hand: bool
    ) -> Decided:
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

    # What a run does; each of these raises CONFLICT once the run's fence is stale. What nobody was told of need not
    # be synced by itself: the beginning of a call and the end of a run are, and what came before them with them.

    async def claim_run(self, owner: str, *, full: Collection[str] = (), waiting: Collection[int] = ()) -> Claim | None:
        """Start a run of the task that has waited longest; None when nothing waits.

        None beneath the tasks `full` is started; what is beneath those `waiting` comes first, the deepest before all.
        """
        return await self._db.write_soon(runs.claim, owner, now(), full=full, waiting=waiting)

    async def record_processes(self, run: Run, processes: Sequence[Mapping[str, object]], sandbox: str) -> None:
        """Note which processes do the run's work, and in which tier of the sandbox."""
        await self._db.write_soon(runs.record_processes, run, processes, sandbox)

    async def bind_run(self, run: Run, bound: bool) -> None:
        """Note whether the work of a run would be lost with its process."""
        await self._db.write_soon(runs.bind, run, bound)

    async def remember(self, run: Run, state: str, usage: Usage | None) -> None:
        """Keep what the turn's agent will go on from, as JSON, and count what its model has used."""
        await self._db.write(turns.remember, run, state, usage)

    async def recall(self, run: Run, *, back: int = 0) -> str | None:
        """What was remembered last in the run's turn, or so many turns before it."""
        return await self._db.read(turns.recall, run, back=back)

    async def history(self, run: Run) -> list[Message]:
        """The messages of the conversation before the run's turn, oldest first."""
        return await self._db.read(conversations.before, run)

    async def append_events(self, run: Run, events: list[NewEvent]) -> int:
        """Append to the task's log; returns the number of the last event."""
        return await self._events.append(run, events, now())

    async def announce_calls(self, run: Run, new: Sequence[NewCall]) -> list[Call]:
        """Make the turn's calls known; returns all of them in order."""
        return await self._db.write_soon(calls.announce, run, new, now())

    async def amend_call(self, run: Run, changed: NewCall) -> Call:
        """Give a call that has not begun other arguments; returns it."""
        return await self._db.write_soon(calls.amend, run, changed, now())

    async def begin_call(self, run: Run, call_id: str, expires_at: int | None, **about: Unpack[Begun]) -> Call:
        """Let a call proceed if it may, else have it wait for approval: as `storage.calls.begin`."""
        return await self._db.write(calls.begin, run, call_id, expires_at, now(), **about)

    async def stay(self, run: Run) -> tuple[bool, list[Call]]:
        """Have a run whose process must stay wait for a decision; whether it waits, and the calls of its turn.

        It goes on by itself once the decision is there.
        """
        return await self._db.write(runs.stay, run, now())

    async def keep_output(self, run: Run, call_id: str, output: str, dropped: int) -> None:
        """Note what a call that is being cut off has written."""
        await self._db.write_soon(calls.keep_output, run, call_id, output, dropped)

    async def end_call(self, run: Run, call_id: str, result: CallResult) -> None:
        """Note how an executed call ended."""
        await self._db.write_soon(calls.end, run, call_id, result, now())

    async def suspend_run(self, run: Run, ran_us: int = 0) -> Status:
        """End a run that waits for a decision, after so many microseconds of work."""
        return await self._ending(runs.suspend, run, ran_us, now())

    async def wait_run(self, run: Run, awaited: Mapping[str, int], ran_us: int = 0) -> Status:
        """End a run that waits for the ends of tasks (id -> until when at most), so that its own goes on then."""
        return await self._ending(runs.wait, run, awaited, ran_us, now())

    async def pause_run(self, run: Run, ran_us: int = 0) -> Status:
        """End a run whose budget of calls is used up."""
        return await self._ending(runs.pause, run, ran_us, now())

    async def block_run(self, run: Run, ran_us: int = 0) -> Status:
        """End a run whose secrets are gone."""
        return await self._ending(runs.block, run, ran_us, now())

    async def interrupt_run(self, run: Run, ran_us: int = 0) -> Status:
        """End a run whose server ends."""
        return await self._ending(runs.interrupt, run, ran_us, now())

    async def finish_run(self, run: Run, end: RunEnd, ran_us: int = 0) -> Status:
        """End a run and its turn."""
        return await self._ending(runs.finish, run, end, ran_us, now())

    # What the server does for itself, across principals.

    async def secrets_ever(self, task_id: str) -> list[Had]:
        """The secrets of all turns of a task, the latest turn first; then those of its lenders."""
        return await self._db.read(secrets.ever, task_id)

    async def lenders(self, task_id: str) -> list[str]:
        """The tasks that lend this one their folder, the nearest first."""
        return await self._db.read(secrets.lenders, task_id)

    async def leftovers(self) -> list[Leftover]:
        """The runs a dead server left open."""
        return await self._db.read(runs.leftovers)

    async def settle(self) -> Settled:
        """Settle what a dead server left, once its processes are gone."""
        return await self._ending(runs.settle, now())

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

    async def worktrees(self, task_id: str | None = None) -> list[Worktree]:
        """All worktrees that are there, or half there, or that of one task; the oldest first."""
        return await self._db.read(occupancy.worktrees, task_id)

    async def record_worktree(self, task_id: str, checkout: Checkout, outcome: dict[str, Any]) -> None:
        """Note what a look at a worktree has found."""
        await self._db.write(occupancy.record, task_id, checkout, outcome)

    async def note_folder(self, task_id: str, **changes: object) -> None:
        """Note something of a folder that a task works in itself, and not on a worktree."""
        await self._db.write(occupancy.note, task_id, changes)

    async def reopen_worktree(self, task_id: str) -> None:
        """Note that a worktree is to be looked at once more."""
        await self._db.write(occupancy.reopen, task_id)

    async def give_up_worktree(self, task_id: str) -> None:
        """Note that a worktree is gone, and the task's folder with it."""
        await self._db.write(occupancy.give_up, task_id, now())

    async def open_counts(self) -> dict[Status, int]:
        """How many tasks are in each state that is not an end."""
        return await self._db.read(tasks.open_counts)

    async def _ending(
        self, operation: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Write what may end tasks, and tell those that waited for them."""
        return await self._db.write(propagation.with_consequences, lambda db: operation(db, *args, **kwargs), now())


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
