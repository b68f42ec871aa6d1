"""Tasks that wait for others no longer than they said: they go on when their time has come."""

import logging

import anyio

from server.errors import RemitError
from server.tasks.background import seconds_until
from server.tasks.execution.scheduler import PATIENCE, Scheduler
from storage.sqlite.store import Store

_log = logging.getLogger(__name__)


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
