"""Background loops of the task service: expiry of approvals, waking of waiting tasks, propagation of ends."""

import logging

import anyio
import anyio.lowlevel

from server.errors import RemitError
from server.tasks.execution.scheduler import PATIENCE, Scheduler
from storage.interface import Store
from storage.times import now

_log = logging.getLogger(__name__)

LONGEST_SLEEP = 3600.0
"""Seconds that a loop sleeps at most, so that a change of the system clock is noticed."""


def seconds_until(at: int | None) -> float:
    """Return the seconds to sleep until `at`, in microseconds since the epoch; None: no time is known."""
    return LONGEST_SLEEP if at is None else max(0.0, min((at - now()) / 1_000_000, LONGEST_SLEEP))


async def serve_expiry(store: Store, scheduler: Scheduler) -> None:
    """Expire undecided approvals when their time comes, until cancelled."""
    while True:
        try:
            another = store.changes.next_expiring()
            with anyio.move_on_after(seconds_until(await store.next_expiry())):
                await another.wait()
            if await store.expire_calls():
                scheduler.poke()
        except (RemitError, OSError) as error:
            _log.error("approvals cannot expire: %s", error)
            await anyio.sleep(PATIENCE)


async def serve_awaiting(store: Store, scheduler: Scheduler) -> None:
    """Wake tasks that wait for others when their wait is over, until cancelled."""
    while True:
        try:
            another = scheduler.next_wait()
            with anyio.move_on_after(seconds_until(await store.next_wake())):
                await another.wait()
            if await store.wake():
                scheduler.poke()
        except (RemitError, OSError) as error:
            _log.error("tasks that wait for others cannot be woken: %s", error)
            await anyio.sleep(PATIENCE)


async def serve_propagation(store: Store, scheduler: Scheduler) -> None:
    """Propagate ends of tasks to their dependants and parents, first those a dead server left, until cancelled."""
    while True:
        try:
            while await store.propagate():
                scheduler.poke()
                await anyio.lowlevel.checkpoint()  # let others write in between
            scheduler.poke()
        except (RemitError, OSError) as error:
            _log.error("tasks cannot be told of others' ends: %s", error)
            await anyio.sleep(PATIENCE)
        else:
            await store.changes.unfinished()
