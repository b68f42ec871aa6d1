"""Tasks that wait for others no longer than they said: they go on when their time has come."""

import logging

import anyio

from server.errors import RemitError
from server.tasks.expiry import LONGEST_SLEEP
from server.tasks.scheduler import PATIENCE, Scheduler
from storage.store import Store, now

_log = logging.getLogger(__name__)


async def serve_awaiting(store: Store, scheduler: Scheduler) -> None:
    """Wake them until cancelled."""
    while True:
        try:
            another = scheduler.next_wait()
            at = await store.next_wake()
            until_next = LONGEST_SLEEP if at is None else (at - now()) / 1_000_000
            with anyio.move_on_after(max(0.0, min(until_next, LONGEST_SLEEP))):
                await another.wait()
            if await store.wake():
                scheduler.poke()
        except RemitError as error:
            _log.error("tasks that wait for others cannot be woken: %s", error.message)
            await anyio.sleep(PATIENCE)
