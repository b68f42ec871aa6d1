"""The store as one run uses it: if the database fails, the run waits until it can write, and loses nothing."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar, Unpack

import anyio

from server.errors import RemitError
from server.tasks.execution.slot import Slot
from storage.errors import DatabaseError
from storage.interface import Store
from storage.records.calls import Call, CallContext, CallResult, NewCall
from storage.records.events import RunEvent
from storage.records.masked import MaskedText
from storage.records.tasks import Message, Run, TurnUsage
from storage.records.unwritten import Unwritten
from storage.records.workspaces import FolderNotes

T = TypeVar("T")

_log = logging.getLogger(__name__)

SHORTEST_WAIT = 0.1
"""Seconds before a failed write is tried again; doubled after each failure."""

LONGEST_WAIT = 5.0
"""Seconds between two attempts at most, so that work goes on soon after the fault has passed."""


class RunRecord:
    """The records of one run. Operations that its work depends on wait while the database is locked, full or failing.

    The run's clock stops meanwhile. Each raises RemitError (CONFLICT) once the run has lost its task, and DatabaseError
    when the run is to end or the fault will not pass.
    """

    def __init__(self, store: Store, run: Run, slot: Slot) -> None:
        self.changes = store.changes
        self.unwritten = Unwritten()
        """Records still to be written; they are written with the run's end."""

        self._store = store
        self._run = run
        self._slot = slot
        self._appending = anyio.Lock()
        self._append_from = 0.0
        self._last_event = 0

    # The state that a turn continues from.

    async def history(self) -> list[Message]:
        """Return the messages of the conversation before the run's turn, oldest first."""
        return await self._patiently(lambda: self._store.history(self._run))

    async def recall(self, *, back: int = 0) -> str | None:
        """Return the state (JSON) last remembered in the run's turn, or in the turn `back` turns before it."""
        return await self._patiently(lambda: self._store.recall(self._run, back=back))

    async def remember(self, state: MaskedText, usage: TurnUsage | None) -> None:
        """Store the state (JSON) that the turn's agent will continue from, and add the usage of its model."""
        await self._patiently(lambda: self._store.remember(self._run, state, usage))

    async def set_process_bound(self, bound: bool) -> None:
        """Record whether the run's work would be lost with its process."""
        await self._patiently(lambda: self._store.set_process_bound(self._run, bound))

    async def record_processes(self, processes: Sequence[Mapping[str, object]], sandbox: str) -> None:
        """Record the processes of the run and the sandbox tier they run in."""
        await self._patiently(lambda: self._store.record_processes(self._run, processes, sandbox))

    # Calls.

    async def announce_calls(self, new: Sequence[NewCall]) -> list[Call]:
        """Record new calls of the turn. Returns all calls of the turn, in order."""
        return await self._patiently(lambda: self._store.announce_calls(self._run, new))

    async def amend_call(self, changed: NewCall) -> Call:
        """Change the arguments of a call that has not begun. Returns it."""
        return await self._patiently(lambda: self._store.amend_call(self._run, changed))

    async def begin_call(self, call_id: str, expires_at: int | None, **about: Unpack[CallContext]) -> Call:
        """Let a call proceed if it may, else make it wait for approval: see `storage.interface.RunStore`."""
        return await self._patiently(lambda: self._store.begin_call(self._run, call_id, expires_at, **about))

    async def renew_call(self, call_id: str) -> list[Call]:
        """Repeat an interrupted call as a new one. Returns all calls of the turn, in order."""
        return await self._patiently(lambda: self._store.renew_call(self._run, call_id))

    async def wait_for_decision(self) -> tuple[bool, list[Call]]:
        """Make the run wait for a decision. Returns whether it waits, and the calls of its turn."""
        return await self._patiently(lambda: self._store.wait_for_decision(self._run))

    async def end_call(self, call_id: str, result: CallResult) -> None:
        """Record how a call ended. If the run ends before that can be written, it is written with the run's end."""
        self.unwritten.results[call_id] = result
        await self._patiently(lambda: self._store.end_call(self._run, call_id, result))
        del self.unwritten.results[call_id]

    def keep_output(self, call_id: str, output: MaskedText, dropped: int) -> None:
        """Keep the output of a call that is being interrupted; it is written with the run's end."""
        self.unwritten.outputs[call_id] = output, dropped

    # The task's log.

    async def append_events(self, run: Run, events: list[RunEvent]) -> int:
        """Append to the task's log, in order. Returns the number of the last event written.

        It does not wait for the database: events that cannot be written now are written with the next ones or the run's
        end.
        """
        waiting = self.unwritten.events
        waiting += events
        async with self._appending:
            while waiting and time.monotonic() >= self._append_from:
                await self._append(run, list(waiting))
        return self._last_event

    async def _append(self, run: Run, events: list[RunEvent]) -> None:
        try:
            with anyio.CancelScope(shield=True):  # else it would be unknown whether they were written
                self._last_event = await self._store.append_events(run, events)
        except DatabaseError as error:
            _log.warning("events of task %s are written later: %s", run.task_id, error.message)
            self._append_from = time.monotonic() + LONGEST_WAIT
        except RemitError:  # the run has lost its task: nobody reads them any more
            self.unwritten.events.clear()
            raise
        else:
            del self.unwritten.events[: len(events)]

    async def note_folder(self, task_id: str, **changes: Unpack[FolderNotes]) -> None:
        """Record changes of a task's workspace record: now, or with the run's end."""
        self.unwritten.folder |= changes
        noted = self.unwritten.folder.copy()
        try:
            await self._store.note_folder(task_id, **noted)
        except DatabaseError as error:
            _log.warning("what was found in the folder of task %s is noted later: %s", task_id, error.message)
        else:
            if self.unwritten.folder == noted:
                self.unwritten.folder = FolderNotes()

    async def first_protected(self, path: str, found: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
        """Return what was protected first in a user's folder: see `storage.interface.Store`."""
        return await self._patiently(lambda: self._store.first_protected(path, found))

    async def _patiently(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat an operation until the database accepts it, the run is to end, or the fault will not pass."""
        try:
            return await operation()
        except DatabaseError as error:
            self._give_up(error)
            _log.warning("task %s waits for the database: %s", self._run.task_id, error.message)
            with self._slot.waiting_for(f"the database cannot be written ({error.reason})"):
                return await self._repeated(operation)

    async def _repeated(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat an operation that has failed, as `_patiently` does, with longer and longer waits in between."""
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
        """Raise the error if waiting would not help."""
        if self._slot.ending.is_set() or not error.passes:
            raise error

    async def _news(self, seconds: float) -> None:
        """Wait until another write succeeds, the run is to end, or the time is over."""
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:

                async def first(event: Callable[[], Awaitable[object]]) -> None:
                    await event()
                    group.cancel_scope.cancel()

                group.start_soon(first, self.changes.committed)
                group.start_soon(first, self._slot.ending.wait)
