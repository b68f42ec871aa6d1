"""Shortage of disk space or file descriptors: work waits for them instead of failing."""

import os
import resource
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from server import plain_words
from server.errors import Code, RemitError
from server.plain_words import DESCRIPTORS
from server.runner.monitoring.disks import Disks
from server.runner.policy import Limits
from server.tasks.events.event_writer import Log
from server.tasks.execution.slot import Slot
from server.tasks.secrets.masking import Masker
from storage.records.events import EventKind, RunEvent

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""Seconds between two checks whether there is enough again."""

SPARE_DESCRIPTORS = 32
"""Descriptors that starting one command takes: pipes, sockets, folders, the network proxy."""


class ShortageWait:
    """Waits of one run for disk space or descriptors; its clock stops meanwhile, and its task's log says why."""

    def __init__(self, log: Log, slot: Slot, masker: Masker) -> None:
        self._log = log
        self._masker = masker
        self._slot = slot
        self._told: set[str] = set()

    async def wait_until_over(self, folders: Iterable[Path], limits: Limits) -> None:
        """Wait until a command that writes to these folders under these limits can start, or the run is to end."""
        short = partial(_short, tuple(folders), limits)
        while not self._slot.ending.is_set() and (why := await to_thread.run_sync(short)):
            await self._wait(why)

    async def patiently(self, operation: Callable[[], Awaitable[T]], *, may_repeat: Callable[[], bool]) -> T:
        """Do an operation, and repeat it while it fails for lack of disk space or descriptors.

        Raises what the operation raises; RemitError (EXECUTION_ERROR): after a shortage, when it may not be repeated.
        """
        while True:
            try:
                return await operation()
            except Exception as error:
                short = plain_words.shortage(error)
                if short is None or not short.passes or self._slot.ending.is_set():
                    raise
                if not may_repeat():
                    told = f"the command had begun, and is not made again by itself: {short}"
                    raise RemitError(Code.EXECUTION_ERROR, told) from error
            await self._wait(short.what)

    async def _wait(self, why: str) -> None:
        if why not in self._told:
            self._told.add(why)
            message = self._masker.short(f"it waits, and goes on by itself: {why}")
            await self._log.append_events(self._slot.claim.run, [RunEvent(EventKind.WARNING, {"message": message})])
        with self._slot.clock_stopped(), anyio.move_on_after(LOOK_SECONDS):
            await self._slot.ending.wait()


def _short(folders: Iterable[Path], limits: Limits) -> str | None:
    """Return what is too short for one more command, in words; None if nothing is. Blocks."""
    try:
        with closing(Disks(folders)) as disks:
            if full := disks.too_full(limits):
                return full
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        open_now = len(os.listdir("/proc/self/fd"))
    except OSError as error:
        short = plain_words.shortage(error)
        return short.what if short and short.passes else None
    is_bounded = most != resource.RLIM_INFINITY
    return DESCRIPTORS.what if is_bounded and most - open_now < SPARE_DESCRIPTORS else None
