"""Writing of ends of runs and of cancellations, if need be once the database accepts writes again."""

import logging
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio

from server.errors import Code, RemitError
from storage.errors import DatabaseError
from storage.interface import Store
from storage.records.outcomes import RunOutcome, Wait
from storage.records.states import Status
from storage.records.tasks import CancellationResult, Principal, Run
from storage.records.unwritten import Unwritten

_log = logging.getLogger(__name__)

SHORTEST_WAIT = 0.5
"""Seconds before a failed write is tried again; doubled after each failure."""

LONGEST_WAIT = 10.0
"""Seconds between two attempts at most. Any other write that succeeds triggers an attempt at once."""

CANCEL_SECONDS = 15.0
"""Seconds for writing a cancellation before it is kept for later: three writes that each wait 5 s for a lock."""

LAST_SECONDS = 10.0
"""Seconds for the last writes when the server ends; the next server settles what is left."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """The end of one run, its microseconds of work, and the records it could not write itself."""

    run: Run
    outcome: RunOutcome
    ran_us: int
    unwritten: Unwritten


class EndWriter:
    """Writes ends of runs and cancellations of tasks; keeps those that cannot be written yet, and tries again.

    `stop` is called with the id of each task whose run must end because of what was written, `abandon` with the ids of
    a cancellation, to end those that have no run, and `waits` when one more task waits for others.
    """

    def __init__(
        self,
        store: Store,
        stop: Callable[[str], None],
        abandon: Callable[[Sequence[str]], Awaitable[None]],
        waits: Callable[[], None],
    ) -> None:
        self._store = store
        self._stop = stop
        self._abandon = abandon
        self._waits = waits
        self._ends: dict[str, FinishedRun] = {}
        self._cancels: dict[tuple[str, str], Principal] = {}
        self._kept = anyio.Event()

    def __len__(self) -> int:
        """Return the number of ends and cancellations still to be written."""
        return len(self._ends) + len(self._cancels)

    def holds(self, task_id: str) -> bool:
        """Return whether the end of this task's run is still to be written."""
        return task_id in self._ends

    def cancels(self, task_id: str) -> bool:
        """Return whether the cancellation of this task is still to be written."""
        return any(known == task_id for _, known in self._cancels)

    async def settle(self, end: FinishedRun) -> None:
        """Write how a run ended, or keep it for later."""
        if not await self._is_settled(end):
            self._ends[end.run.task_id] = end
            self._kept.set()

    async def cancel(self, principal: Principal, task_ids: Sequence[str]) -> list[str] | None:
        """Write that tasks were cancelled, within CANCEL_SECONDS, and end their runs.

        Returns the ids of those that ran; None if not all could be written: the others are then kept and tried again.
        Raises RemitError (NOT_FOUND).
        """
        left, stopping = list(task_ids), list[str]()
        with anyio.move_on_after(CANCEL_SECONDS, shield=True):  # also if the caller disconnects
            try:
                while left:
                    stopping += (await self._cancel_now(principal, left[0])).stopping
                    del left[0]
            except DatabaseError as error:
                _log.warning("the cancellation of task %s cannot be written yet: %s", left[0], error.message)
        for task_id in left:
            self._cancels[principal.id, task_id] = principal
            self._kept.set()
        return None if left else stopping

    async def catch_up(self, principal: Principal, task_id: str) -> None:
        """Write a kept cancellation of this task before the task goes on. Raises RemitError: when that fails."""
        if (principal.id, task_id) in self._cancels:
            await self._cancel_now(principal, task_id)

    async def serve(self) -> None:
        """Write what is kept, until cancelled."""
        while True:
            await self._kept.wait()
            self._kept = anyio.Event()
            wait = SHORTEST_WAIT
            while len(self):
                with anyio.move_on_after(wait):
                    await self._store.changes.committed()
                wait = min(2 * wait, LONGEST_WAIT)
                await self._write_kept()

    async def close(self) -> None:
        """Write what is left, for LAST_SECONDS at most. Call it when no run is active any more."""
        with anyio.move_on_after(LAST_SECONDS, shield=True):
            while len(self):
                await self._write_kept()
                if len(self):
                    await anyio.sleep(SHORTEST_WAIT)
        for task_id in self._ends:
            _log.error("the end of a run of task %s could not be written; the next server settles it", task_id)

    async def _write_kept(self) -> None:
        """Try to write everything kept; cancellations first, because they are why the runs ended."""
        for (owner, task_id), principal in list(self._cancels.items()):
            if (owner, task_id) not in self._cancels:
                continue  # written meanwhile; the task may have gone on since
            try:
                await self._cancel_now(principal, task_id)
            except (DatabaseError, OSError):
                return
            except RemitError as error:
                _log.warning("task %s cannot be cancelled any more: %s", task_id, error.message)
                self._cancels.pop((owner, task_id), None)
        for task_id, end in list(self._ends.items()):
            if not await self._is_settled(end):
                return
            del self._ends[task_id]

    async def _cancel_now(self, principal: Principal, task_id: str) -> CancellationResult:
        cancelled = await self._store.cancel(principal, task_id)
        for each in cancelled.stopping:
            self._stop(each)
        await self._abandon(cancelled.stopping)
        self._cancels.pop((principal.id, task_id), None)
        return cancelled

    async def _is_settled(self, end: FinishedRun) -> bool:
        """Write the end. Returns whether nothing is left to be written of it."""
        run = end.run
        try:
            status = await self._store.end_run(run, end.outcome, end.ran_us, end.unwritten)
            if isinstance(end.outcome, Wait):
                self._waits()
            if status in (Status.FAILED, Status.CANCELLED):
                await self._stop_beneath(run)
        except RemitError as error:
            _log.warning("run of task %s: %s", run.task_id, error.message)
            return error.code is Code.CONFLICT  # the run has lost its task: another server has settled it
        except Exception as error:
            _log.error("run of task %s cannot be settled: %s\n%s", run.task_id, type(error).__name__, where(error))
        return True

    async def _stop_beneath(self, run: Run) -> None:
        """End the runs of sub-tasks that were cancelled together with a task."""
        for task_id in await self._store.stopping_beneath(run):
            self._stop(task_id)


def where(error: BaseException) -> str:
    """Return the traceback of an internal error without its message, which might contain a secret."""
    return "".join(traceback.format_tb(error.__traceback__))
