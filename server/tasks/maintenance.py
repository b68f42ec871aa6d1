"""Retention: removes expired tasks, folders and logs in small transactions, then shrinks the database."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

import anyio
from anyio import to_thread

from server.config import RetentionSettings
from server.errors import Code, RemitError
from server.limits import DAY
from server.runner.workspace.workspaces import Workspaces
from server.tasks.views.formatting import time
from server.tasks.workspaces.removal import remove_folders
from server.tasks.workspaces.worktrees import Worktrees
from storage.interface import Store
from storage.records.clock import DOUBT, Clock
from storage.records.retention import Ended, Retention
from storage.times import now

_log = logging.getLogger(__name__)

FIRST_LOOK = 2.0
"""Seconds after the server's start: the user who started it is served first."""

INTERVAL = 600.0
"""Seconds between two sweeps; one that finds nothing takes less than a millisecond."""

PAUSE = 0.02
"""Seconds between two transactions in which other requests are served: about as long as one takes."""

DOUBTED_INTERVAL = 60.0
"""Seconds between two sweeps while the system clock is doubted; running time is counted in these steps."""


def doubt(clock: Clock, at: int) -> str:
    """Return the message that says why nothing is removed at the doubted time `at` (microseconds), and what to do."""
    return (
        f"the clock says {time(at)}, {(at - clock.latest) // (DAY * 1_000_000)} days past the time that was seen "
        f"here last, {time(clock.latest)}: nothing that was kept long enough is removed before servers have run for "
        f"{DOUBT // 3_600_000_000} hours so ({clock.doubted_us / 3_600_000_000:.1f} so far). Set the clock right, or "
        "have it believed now: remit prune --now"
    )


def periods(settings: RetentionSettings) -> Retention:
    """Return the retention periods of the settings in microseconds; None: forever."""
    tasks, logs, workspaces = (
        None if kept == "forever" else kept * 1_000_000
        for kept in (settings.tasks, settings.events, settings.workspaces)
    )
    return Retention(tasks, logs, workspaces)


class Maintenance:
    """Periodic removal of expired tasks, folders and logs, which bounds the state folder."""

    def __init__(
        self,
        store: Store,
        workspaces: Workspaces,
        worktrees: Worktrees,
        following: Callable[[str], anyio.Lock],
        retention: Retention,
    ) -> None:
        """Create the maintenance. `following` returns the lock of a task that must be held to open its next turn."""
        self._store = store
        self._maintenance = store.maintenance
        self._workspaces = workspaces
        self._worktrees = worktrees
        self._following = following
        self._retention = retention
        self._sweeping = anyio.Lock()
        self._observed = monotonic()

    async def serve(self) -> None:
        """Sweep every INTERVAL seconds until cancelled."""
        await anyio.sleep(FIRST_LOOK)
        while True:
            is_believed = True
            try:
                is_believed = await self.run(now())
            except (RemitError, OSError) as error:
                _log.error("what is not kept any more cannot be removed now: %s", error)
            await anyio.sleep(INTERVAL if is_believed else DOUBTED_INTERVAL)

    async def run(self, at: int) -> bool:
        """Sweep if the clock's time `at`, in microseconds since 1970, is believed. Returns whether it is."""
        ran_us, self._observed = int((monotonic() - self._observed) * 1_000_000), monotonic()
        is_believed = await self._maintenance.observe_clock(at, ran_us)
        if is_believed:
            await self.sweep(at)
        else:
            _log.warning("%s", doubt(await self._maintenance.clock(), at))
        return is_believed

    async def prune(self, at: int, *, regardless: bool) -> int:
        """Sweep now. Returns the number of tasks removed. With `regardless`, `at` is believed from now on.

        Raises RemitError (CONFLICT): when `at` is not believed.
        """
        clock = await self._maintenance.clock()
        if regardless:
            await self._maintenance.believe_clock(at)
        elif clock.doubts(at):
            raise RemitError(Code.CONFLICT, doubt(clock, at))
        return await self.sweep(at)

    async def sweep(self, at: int) -> int:
        """Remove what has expired at `at`, in microseconds since 1970. Returns the number of tasks removed."""
        async with self._sweeping:
            return await self._sweep(at)

    async def _sweep(self, at: int) -> int:
        kept = self._retention
        count = 0
        if periods := [period for period in (kept.tasks, kept.workspaces) if period is not None]:
            await self._remove_worktrees(at - min(periods))
        if kept.tasks is not None:
            count = await self._remove_tasks(at - kept.tasks)
        if kept.workspaces is not None:
            await self._remove_workspaces(at - kept.workspaces, at)
            await to_thread.run_sync(self._workspaces.lost.remove, _moment(at - kept.workspaces))
        if kept.logs is not None:
            await self._remove_logs(at - kept.logs, at)
        await self._remove_given_up()
        await self._give_back()
        await self._maintenance.tidy()
        return count

    async def _remove_tasks(self, ended_by: int) -> int:
        after: Ended | None = Ended()
        count = 0
        while after:
            left, after = await self._maintenance.expired(ended_by, after)
            while left:
                chunk = await self._maintenance.remove_expired(left, ended_by)
                left = chunk.left
                count += len(chunk.removed)
                await remove_folders(self._store, self._workspaces, chunk.removed)
                await anyio.sleep(PAUSE)
        if count:
            _log.info("%d tasks removed: they ended more than %d s ago", count, (self._retention.tasks or 0) // 10**6)
        return count

    async def _remove_workspaces(self, ended_by: int, at: int) -> None:
        while ids := await self._maintenance.with_workspace(ended_by):
            for task_id in ids:
                # A message that arrives meanwhile must put its files into the new folder, not into this one.
                async with self._following(task_id):
                    if await self._maintenance.give_up_workspace(task_id, ended_by, at):
                        await remove_folders(self._store, self._workspaces, [task_id])

    async def _remove_given_up(self) -> None:
        """Retry the removal of folders that could not be removed when they expired, unless a turn now uses them."""
        for task_id in await self._maintenance.given_up_folders():
            async with self._following(task_id):
                if not await self._maintenance.known_folders([task_id]):
                    await remove_folders(self._store, self._workspaces, [task_id])

    async def _remove_worktrees(self, ended_by: int) -> None:
        """Remove expired worktrees. One with unsaved work stays, and its task with it."""
        for record in await self._store.worktrees():
            is_due = record.is_over and (record.ended_at or 0) <= ended_by
            if is_due and record.workspace.checkout != "dirty":
                async with self._following(record.task_id):
                    try:
                        await self._worktrees.discard(record.task_id)
                    except (RemitError, OSError) as error:
                        _log.warning("a worktree stays: %s", error)

    async def _remove_logs(self, ended_by: int, at: int) -> None:
        while left := await self._maintenance.with_log(ended_by):
            while left:
                left = await self._maintenance.remove_logs(left, ended_by, at)
                await anyio.sleep(PAUSE)

    async def _give_back(self) -> None:
        more = True
        while more:
            more = await self._maintenance.vacuum()
            await anyio.sleep(PAUSE)


def _moment(at: int) -> datetime:
    """Return a stored time, in microseconds since the epoch, as a datetime."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
