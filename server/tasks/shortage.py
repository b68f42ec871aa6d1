"""Want of what the machine has for all: room on the disk, descriptors. Work waits for it, and does not fail."""

import errno
import os
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from server.runner.gauge import crowded
from server.runner.limits import too_full_a_disk
from server.runner.policy import Limits
from server.tasks.place import Place
from server.tasks.publisher import Log
from storage.records import NewEvent

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""Between two looks at whether there is enough again."""

SPARE_DESCRIPTORS = 32
"""What the start of one command takes at once: its pipes and sockets, its folders, the proxy of its network."""

_SHORT = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EMFILE: "the server has no descriptors left",
    errno.ENFILE: "the machine has no descriptors left",
}


def of(error: BaseException | None) -> str | None:
    """What was short, in words, where an error comes of that; None for any other."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _SHORT:
            return _SHORT[error.errno]
        error = error.__cause__
    return None


class Shortage:
    """Has one run wait, with its clock standing still, while something is short; its task's log tells of that."""

    def __init__(self, log: Log, place: Place) -> None:
        self._log = log
        self._place = place
        self._told: set[str] = set()

    async def until_over(self, folder: Path, limits: Limits) -> None:
        """Wait until a command can be started that works in a folder under these limits, or the run is to end."""
        while not self._place.ending.is_set() and (why := await to_thread.run_sync(_short, folder, limits)):
            await self._wait(why)

    async def patiently(self, operation: Callable[[], Awaitable[T]], *, may_repeat: Callable[[], bool]) -> T:
        """Do something, and again while it fails for what is short. Raises what it raises."""
        while True:
            try:
                return await operation()
            except Exception as error:
                why = of(error)
                if why is None or self._place.ending.is_set() or not may_repeat():
                    raise
            await self._wait(why)

    async def _wait(self, why: str) -> None:
        if why not in self._told:
            self._told.add(why)
            message = f"it waits, and goes on by itself: {why}"
            await self._log.append_events(self._place.claim.run, [NewEvent("warning", {"message": message})])
        with self._place.standing(), anyio.move_on_after(LOOK_SECONDS):
            await self._place.ending.wait()


def _short(folder: Path, limits: Limits) -> str | None:
    """What is short for one more command, in words. Blocks."""
    try:
        if crowded(os.statvfs(folder), limits):
            return too_full_a_disk(limits)
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        open_now = len(os.listdir("/proc/self/fd"))
    except OSError as error:
        return of(error)
    is_bounded = most != resource.RLIM_INFINITY
    return _SHORT[errno.EMFILE] if is_bounded and most - open_now < SPARE_DESCRIPTORS else None
