"""What a run puts on record, also while the database fails: the work waits until it can be written, and is not lost."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar, Unpack

import anyio

from server.errors import RemitError
from server.tasks.execution.slot import Slot
from storage.errors import DatabaseError
from storage.records.calls import Call, CallContext, CallResult, NewCall
from storage.records.tasks import Message, NewEvent, Run, TurnUsage
from storage.records.unwritten import Unwritten
from storage.sqlite.store import Store

T = TypeVar("T")

_log = logging.getLogger(__name__)

SHORTEST_WAIT = 0.1
"""Seconds before the database is tried again; each wait in vain doubles them."""

LONGEST_WAIT = 5.0
"""Seconds at most, so that work goes on soon after the fault has passed."""


class RunRecord:
    """The store as one run uses it: what its work depends on waits while the database is locked, full or failing.

    The clock of the run stands still meanwhile. Each raises RemitError (CONFLICT) once the run has lost its task.
    """

    def __init__(self, store: Store, run: Run, slot: Slot) -> None:
        self.changes = store.changes
        self.unwritten = Unwritten()
        """What is still to be written, and is not to be lost with the run."""

        self._store = store
        self._run = run
        self._slot = slot
        self._appending = anyio.Lock()
        self._append_from = 0.0
        self._last_event = 0

    # What is gone on from.

    async def history(self) -> list[Message]:
        """The messages of the conversation before the run's turn, oldest first."""
        return await self._patiently(lambda: self._store.history(self._run))

    async def recall(self, *, back: int = 0) -> str | None:
        """What was remembered last in the run's turn, or so many turns before it."""
        return await self._patiently(lambda: self._store.recall(self._run, back=back))

    async def remember(self, state: str, usage: TurnUsage | None) -> None:
        """Keep what the turn's agent will go on from, as JSON, and count what its model has used."""
        await self._patiently(lambda: self._store.remember(self._run, state, usage))

    async def set_process_bound(self, bound: bool) -> None:
        """Note whether the work of the run would be lost with its process."""
        await self._patiently(lambda: self._store.set_process_bound(self._run, bound))

    async def record_processes(self, processes: Sequence[Mapping[str, object]], sandbox: str) -> None:
        """Note which processes do the run's work, and in which tier of the sandbox."""
        await self._patiently(lambda: self._store.record_processes(self._run, processes, sandbox))

    # Calls.

    async def announce_calls(self, new: Sequence[NewCall]) -> list[Call]:
        """Make the turn's calls known; returns all of them in order."""
        return await self._patiently(lambda: self._store.announce_calls(self._run, new))

    async def amend_call(self, changed: NewCall) -> Call:
        """Give a call that has not begun other arguments; returns it."""
        return await self._patiently(lambda: self._store.amend_call(self._run, changed))

    async def begin_call(self, call_id: str, expires_at: int | None, **about: Unpack[CallContext]) -> Call:
        """Let a call proceed if it may, else have it wait for approval: as `storage.sqlite.operations.calls.begin`."""
        return await self._patiently(lambda: self._store.begin_call(self._run, call_id, expires_at, **about))

    async def renew_call(self, call_id: str) -> list[Call]:
        """Have a call that was cut off be made once more, as another; returns all calls of the turn in order."""
        return await self._patiently(lambda: self._store.renew_call(self._run, call_id))

    async def wait_for_decision(self) -> tuple[bool, list[Call]]:
        """Have the run wait for a decision; whether it does, and the calls of its turn."""
        return await self._patiently(lambda: self._store.wait_for_decision(self._run))

    async def end_call(self, call_id: str, result: CallResult) -> None:
        """Note how an executed call ended; where the run ends before it could be written, it is told with that."""
        self.unwritten.results[call_id] = result
        await self._patiently(lambda: self._store.end_call(self._run, call_id, result))
        del self.unwritten.results[call_id]

    def keep_output(self, call_id: str, output: str, dropped: int) -> None:
        """Have what a call that is being cut off has written told with the end of the run."""
        self.unwritten.outputs[call_id] = output, dropped

    # The task's log.

    async def append_events(self, run: Run, events: list[NewEvent]) -> int:
        """Append to the task's log, in order; returns the number of the last event that was written.

        Nobody waits for it: what cannot be written now is written with what comes next, or with the run's end.
        """
        waiting = self.unwritten.events
        waiting += events
        async with self._appending:
            while waiting and time.monotonic() >= self._append_from:
                await self._append(run, list(waiting))
        return self._last_event

    async def _append(self, run: Run, events: list[NewEvent]) -> None:
        try:
            with anyio.CancelScope(shield=True):  # so that it is known whether they were written
                self._last_event = await self._store.append_events(run, events)
        except DatabaseError as error:
            _log.warning("events of task %s are written later: %s", run.task_id, error.message)
            self._append_from = time.monotonic() + LONGEST_WAIT
        except RemitError:  # it has lost its task, and nobody wants to know them any more
            self.unwritten.events.clear()
            raise
        else:
            del self.unwritten.events[: len(events)]

    async def note_folder(self, task_id: str, **changes: object) -> None:
        """Note something of a folder that the task writes itself: now, or with the end of the run."""
        self.unwritten.folder |= changes
        noted = dict(self.unwritten.folder)
        try:
            await self._store.note_folder(task_id, **noted)
        except DatabaseError as error:
            _log.warning("what was found in the folder of task %s is noted later: %s", task_id, error.message)
        else:
            if self.unwritten.folder == noted:
                self.unwritten.folder.clear()

    async def _patiently(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Do something until the database takes it, the run is to end, or what fails would always fail."""
        try:
            return await operation()
        except DatabaseError as error:
            self._give_up(error)
            _log.warning("task %s waits for the database: %s", self._run.task_id, error.message)
        wait = SHORTEST_WAIT
        while True:
            with self._slot.clock_stopped():
                await self._news(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            try:
                return await operation()
            except DatabaseError as error:
                self._give_up(error)

    def _give_up(self, error: DatabaseError) -> None:
        """Raise the error where there is nothing to wait for."""
        if self._slot.ending.is_set() or not error.passes:
            raise error

    async def _news(self, seconds: float) -> None:
        """Wait until something can be written again, the run is to end, or the time is over."""
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:

                async def first(event: Callable[[], Awaitable[object]]) -> None:
                    await event()
                    group.cancel_scope.cancel()

                group.start_soon(first, self.changes.committed)
                group.start_soon(first, self._slot.ending.wait)
