"""Background work of the task service: approvals expire, tasks that wait are woken, ends are told to dependants."""

import logging

import anyio
import anyio.lowlevel

from server.errors import RemitError
from server.tasks.execution.scheduler import PATIENCE, Scheduler
from storage.sqlite.store import Store
from storage.times import now

_log = logging.getLogger(__name__)

LONGEST_SLEEP = 3600.0
"""Seconds; the next look is never later, so that a change of the clock is noticed."""


def seconds_until(at: int | None) -> float:
    """How long to sleep until that time, microseconds since the epoch; None: nothing is to come that is known."""
    return LONGEST_SLEEP if at is None else max(0.0, min((at - now()) / 1_000_000, LONGEST_SLEEP))


async def serve_expiry(store: Store, scheduler: Scheduler) -> None:
    """Expire approvals when their time comes, until cancelled."""
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
    """Wake them until cancelled."""
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
    """Go on with what a dead server left, and then with whatever comes, until cancelled."""
    while True:
        try:
            while await store.propagate():
                scheduler.poke()
                await anyio.lowlevel.checkpoint()  # others write in between
            scheduler.poke()
        except (RemitError, OSError) as error:
            _log.error("tasks cannot be told of others' ends: %s", error)
            await anyio.sleep(PATIENCE)
        else:
            await store.changes.unfinished()
