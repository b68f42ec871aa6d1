"""The part of the store that runs use: to claim a task, to put on record what they do, and to end.

Each of these raises CONFLICT once the run's fence is stale. What nobody was told of need not be synced by itself: the
beginning of a call and the end of a run are, and what came before them with them.
"""

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Concatenate, ParamSpec, TypeVar, Unpack

from storage.records.calls import Call, CallContext, CallResult, NewCall
from storage.records.queue import NO_DEMAND, SlotDemand
from storage.records.states import Status
from storage.records.tasks import Claim, Message, NewEvent, Run, RunEnd, TurnUsage
from storage.records.unwritten import Unwritten
from storage.sqlite.database import Database
from storage.sqlite.events import EventLog
from storage.sqlite.operations import calls, runs
from storage.sqlite.relations import propagation
from storage.sqlite.transitions import attempts, conversations, turns
from storage.times import now

P = ParamSpec("P")
R = TypeVar("R")


class RunStore:
    """What runs of tasks write and read. A part of `storage.sqlite.store.Store`."""

    def __init__(self, database: Database, events: EventLog) -> None:
        self._db = database
        self._events = events

    async def claim_run(self, owner: str, demand: SlotDemand = NO_DEMAND) -> Claim | None:
        """Start a run of the task whose turn it is, by `storage.sqlite.operations.queue`; None when nothing waits."""
        return await self._db.write_soon(runs.claim, owner, now(), demand)

    async def record_processes(self, run: Run, processes: Sequence[Mapping[str, object]], sandbox: str) -> None:
        """Note which processes do the run's work, and in which tier of the sandbox."""
        await self._db.write_soon(runs.record_processes, run, processes, sandbox)

    async def set_process_bound(self, run: Run, bound: bool) -> None:
        """Note whether the work of a run would be lost with its process."""
        await self._db.write_soon(runs.set_process_bound, run, bound)

    async def remember(self, run: Run, state: str, usage: TurnUsage | None) -> None:
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

    async def begin_call(self, run: Run, call_id: str, expires_at: int | None, **about: Unpack[CallContext]) -> Call:
        """Let a call proceed if it may, else have it wait for approval: as `storage.sqlite.operations.calls.begin`."""
        return await self._db.write(calls.begin, run, call_id, expires_at, now(), **about)

    async def renew_call(self, run: Run, call_id: str) -> list[Call]:
        """Have a call that was cut off be made once more, as another; returns all calls of the turn in order."""

        def renew(db: sqlite3.Connection) -> list[Call]:
            attempts.renew(db, run, call_id, now())
            return calls.of_turn(db, run)

        return await self._db.write_soon(renew)

    async def wait_for_decision(self, run: Run) -> tuple[bool, list[Call]]:
        """Have a run whose process must stay wait for a decision; whether it waits, and the calls of its turn.

        It goes on by itself once the decision is there.
        """
        return await self._db.write(runs.wait_for_decision, run, now())

    async def end_call(self, run: Run, call_id: str, result: CallResult) -> None:
        """Note how an executed call ended."""
        await self._db.write_end(calls.end, run, call_id, result, now())

    # How a run ends; what it could not write before is written along.

    async def suspend_run(self, run: Run, ran_us: int = 0, unwritten: Unwritten | None = None) -> Status:
        """End a run that waits for a decision, after so many microseconds of work."""
        return await self._end_run(run, unwritten, runs.suspend, ran_us, now())

    async def wait_run(
        self, run: Run, awaited: Mapping[str, int], ran_us: int = 0, unwritten: Unwritten | None = None
    ) -> Status:
        """End a run that waits for the ends of tasks (id -> until when at most), so that its own goes on then."""
        return await self._end_run(run, unwritten, runs.wait, awaited, ran_us, now())

    async def pause_run(self, run: Run, ran_us: int = 0, unwritten: Unwritten | None = None) -> Status:
        """End a run whose budget of calls is used up."""
        return await self._end_run(run, unwritten, runs.pause, ran_us, now())

    async def block_run(self, run: Run, ran_us: int = 0, unwritten: Unwritten | None = None) -> Status:
        """End a run whose secrets are gone."""
        return await self._end_run(run, unwritten, runs.block, ran_us, now())

    async def interrupt_run(
        self, run: Run, ran_us: int = 0, unwritten: Unwritten | None = None, *, by: str = runs.SERVER_ENDED
    ) -> Status:
        """End a run that was cut off by what is said in words."""
        return await self._end_run(run, unwritten, runs.interrupt, ran_us, now(), by)

    async def finish_run(self, run: Run, end: RunEnd, ran_us: int = 0, unwritten: Unwritten | None = None) -> Status:
        """End a run and its turn."""
        return await self._end_run(run, unwritten, runs.finish, end, ran_us, now())

    async def abandon_runs(self, task_ids: Collection[str]) -> None:
        """End the runs of tasks that were cancelled, and that nobody works on."""
        await self._ending(runs.abandon, task_ids, now())

    async def _end_run(
        self,
        run: Run,
        unwritten: Unwritten | None,
        end: Callable[Concatenate[sqlite3.Connection, Run, P], Status],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Status:
        def ended(db: sqlite3.Connection) -> Status:
            if unwritten:
                runs.write_unwritten(db, run, unwritten, now())
            return end(db, run, *args, **kwargs)

        return await self._ending(ended)

    async def _ending(
        self, operation: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Write what may end tasks, and tell those that waited for them."""
        return await self._db.write_end(propagation.with_consequences, lambda db: operation(db, *args, **kwargs), now())
