"""The operations of runs on one SQLite file.

Most are not synced to disk by themselves, because nobody was told of them yet; the beginning of a call and the end of
a run are, and with them everything before.
"""

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Concatenate, ParamSpec, TypeVar, Unpack

from storage.interface import RunStore
from storage.records.calls import Call, CallContext, CallResult, NewCall
from storage.records.events import RunEvent
from storage.records.masked import MaskedText
from storage.records.outcomes import RunOutcome
from storage.records.queue import NO_DEMAND, SlotDemand
from storage.records.states import Status
from storage.records.tasks import Claim, Message, Run, TurnUsage
from storage.records.unwritten import Unwritten
from storage.sqlite.database import Database
from storage.sqlite.events import EventLog
from storage.sqlite.operations import calls, run_ends, runs
from storage.sqlite.relations import propagation
from storage.sqlite.transitions import attempts, conversations, turns
from storage.times import now

P = ParamSpec("P")
R = TypeVar("R")


class SqliteRunStore(RunStore):
    """The operations of runs, each as `RunStore` says. A part of `storage.sqlite.store.SqliteStore`."""

    def __init__(self, database: Database, events: EventLog) -> None:
        self._db = database
        self._events = events

    async def claim_run(self, owner: str, demand: SlotDemand = NO_DEMAND) -> Claim | None:
        return await self._db.write_soon(runs.claim, owner, now(), demand)

    async def record_processes(self, run: Run, processes: Sequence[Mapping[str, object]], sandbox: str) -> None:
        await self._db.write_soon(runs.record_processes, run, processes, sandbox)

    async def set_process_bound(self, run: Run, bound: bool) -> None:
        await self._db.write_soon(runs.set_process_bound, run, bound)

    async def remember(self, run: Run, state: MaskedText, usage: TurnUsage | None) -> None:
        await self._db.write(turns.remember, run, state, usage)

    async def recall(self, run: Run, *, back: int = 0) -> str | None:
        return await self._db.read(turns.recall, run, back=back)

    async def history(self, run: Run) -> list[Message]:
        return await self._db.read(conversations.before, run)

    async def append_events(self, run: Run, events: list[RunEvent]) -> int:
        return await self._events.append(run, events, now())

    async def announce_calls(self, run: Run, new: Sequence[NewCall]) -> list[Call]:
        return await self._db.write_soon(calls.announce, run, new, now())

    async def amend_call(self, run: Run, changed: NewCall) -> Call:
        return await self._db.write_soon(calls.amend, run, changed, now())

    async def begin_call(self, run: Run, call_id: str, expires_at: int | None, **about: Unpack[CallContext]) -> Call:
        return await self._db.write(calls.begin, run, call_id, expires_at, now(), **about)

    async def renew_call(self, run: Run, call_id: str) -> list[Call]:
        def renew(db: sqlite3.Connection) -> list[Call]:
            attempts.renew(db, run, call_id, now())
            return calls.of_turn(db, run)

        return await self._db.write_soon(renew)

    async def wait_for_decision(self, run: Run) -> tuple[bool, list[Call]]:
        return await self._db.write(runs.wait_for_decision, run, now())

    async def end_call(self, run: Run, call_id: str, result: CallResult) -> None:
        await self._db.write_end(calls.end, run, call_id, result, now())

    async def end_run(
        self, run: Run, outcome: RunOutcome, ran_us: int = 0, unwritten: Unwritten | None = None
    ) -> Status:
        at = now()  # before those of its consequences, however long the write waits

        def ended(db: sqlite3.Connection) -> Status:
            if unwritten:
                run_ends.write_unwritten(db, run, unwritten, at)
            return run_ends.end(db, run, outcome, ran_us, at)

        return await self._ending(ended)

    async def abandon_runs(self, task_ids: Collection[str]) -> None:
        await self._ending(run_ends.abandon, task_ids, now())

    async def _ending(
        self, operation: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run a write that may end tasks, and update their dependants in the same transaction."""
        return await self._db.write_end(propagation.with_consequences, lambda db: operation(db, *args, **kwargs), now())
