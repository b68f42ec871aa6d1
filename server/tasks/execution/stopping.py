"""Cancellation of tasks: their runs are stopped first, then the end is recorded."""

from collections.abc import Sequence

import anyio

from server.errors import Code, RemitError
from server.runner.process_tree import END_SECONDS
from server.tasks.execution.scheduler import Scheduler
from storage.interface import Store
from storage.records.states import Status
from storage.records.tasks import Principal

CANCEL_SECONDS = END_SECONDS
"""Seconds that an answer waits for a cancelled task to stop; the promised maximum."""


class Stopping:
    """Ends tasks with everything they have started. Each method waits CANCEL_SECONDS at most for the runs to stop."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store = store
        self._scheduler = scheduler

    async def end(self, principal: Principal, ids: Sequence[str]) -> None:
        """Cancel tasks and their sub-tasks, and wait until they have stopped, at most CANCEL_SECONDS in all."""
        stopping = await self._stopped(principal, ids)
        with anyio.move_on_after(CANCEL_SECONDS):
            for task_id in {*ids, *stopping}:
                await self._until_stopped(principal, task_id)

    async def until_cancelled(self, principal: Principal, task_id: str) -> None:
        """Wait until a cancelled task has stopped running; return at once if it was not cancelled."""
        with anyio.move_on_after(CANCEL_SECONDS):
            await self._until_stopped(principal, task_id, only_cancelled=True)

    async def _stopped(self, principal: Principal, ids: Sequence[str]) -> list[str]:
        """Cancel tasks and their sub-tasks: stop all their runs, then record it. Returns the ids of those that ran.

        Raises RemitError (EXECUTION_ERROR): when it cannot be recorded; the message says what still holds.
        """
        at_work = [each for task_id in ids for each in await self._store.at_work_beneath(principal, task_id)]
        with anyio.CancelScope(shield=True):  # a caller that gives up must not leave a cancelled task running
            with self._scheduler.stopping(at_work):
                stopping = await self._scheduler.ends.cancel(principal, ids)
            if stopping is None:
                raise await self._unwritten(at_work)
            at_work += stopping
            self._scheduler.poke()
        return at_work

    async def _unwritten(self, at_work: Sequence[str]) -> RemitError:
        """Return the error for a cancellation that cannot be recorded, once its runs have stopped."""
        with anyio.move_on_after(CANCEL_SECONDS) as scope:
            await self._scheduler.ended(at_work)
        stopped = "is being stopped" if scope.cancelled_caught else "is stopped: nothing of it is at work"
        return RemitError(
            Code.EXECUTION_ERROR,
            f"the task {stopped}, but its end cannot be written to the database now (its disk is full or fails, or "
            "another program has locked it); it is written as soon as that is possible, if the server lives until "
            "then: make room or end that program, then ask again",
        )

    async def _until_stopped(self, principal: Principal, task_id: str, *, only_cancelled: bool = False) -> None:
        """Wait until the task does not run; with `only_cancelled`, return at once if it was not cancelled."""
        while True:
            with self._store.changes.expected(task_id) as change:
                task = await self._store.task(principal, task_id)
                if task.status is not Status.RUNNING or (only_cancelled and not task.cancel_requested):
                    return
                await change.wait()
