"""Approvals nobody gave in time: they count as a no."""

import logging

import anyio

from server.errors import RemitError
from server.tasks.scheduler import PATIENCE, Scheduler
from storage.store import Store, now

_log = logging.getLogger(__name__)

LONGEST_SLEEP = 3600.0
"""Seconds; the next look is never later, so that a change of the clock is noticed."""


async def serve_expiry(store: Store, scheduler: Scheduler, approval_expires: int | None) -> None:
    """Expire approvals when their time comes, until cancelled.

    What begins to wait during a sleep expires `approval_expires` seconds later at the earliest, so no sleep longer
    than that misses it.
    """
    while True:
        try:
            at = await store.next_expiry()
            until_next = LONGEST_SLEEP if at is None else (at - now()) / 1_000_000
            await anyio.sleep(max(0.0, min(until_next, approval_expires or LONGEST_SLEEP, LONGEST_SLEEP)))
            if await store.expire_calls():
                scheduler.poke()
        except RemitError as error:
            _log.error("approvals cannot expire: %s", error.message)
            await anyio.sleep(PATIENCE)
