"""Tells those that waited for a task that it has ended, where they are too many to be told at once."""

import logging

import anyio
import anyio.lowlevel

from server.errors import RemitError
from server.tasks.execution.scheduler import PATIENCE, Scheduler
from storage.sqlite.store import Store

_log = logging.getLogger(__name__)


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
