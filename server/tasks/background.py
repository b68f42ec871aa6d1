"""Approvals nobody gave in time: they count as a no."""

import logging

import anyio

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
