"""Fair turns: waiting lanes get one operation each, in rotation.

First come, first served would let a connection with a thousand calls hold up all others.
"""

from collections import OrderedDict, deque
from contextvars import ContextVar

import anyio

LANE: ContextVar[object] = ContextVar("LANE", default=None)
"""The lane that the current task works for: a connection, a run of a task, or None for the server itself."""

AT_ONCE = 2
"""Operations handed to the database thread: while one runs, the next is queued already."""


class RoundRobinLock:
    """A lock with `at_once` holders, granted to the waiting lanes in rotation."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._free = at_once
        self._waiting: OrderedDict[object, deque[anyio.Event]] = OrderedDict()

    async def acquire(self) -> None:
        """Wait for a turn."""
        if self._free:
            self._free -= 1
            return
        called = anyio.Event()
        lane = LANE.get()
        self._waiting.setdefault(lane, deque()).append(called)
        try:
            await called.wait()
        except BaseException:
            self._leave(lane, called)
            raise

    def release(self) -> None:
        """Release the turn to the next lane."""
        if not self._waiting:
            self._free += 1
            return
        lane, waiting = self._waiting.popitem(last=False)
        waiting.popleft().set()
        if waiting:
            self._waiting[lane] = waiting  # at the end of the rotation

    def _leave(self, lane: object, called: anyio.Event) -> None:
        if called.is_set():
            self.release()
            return
        self._waiting[lane].remove(called)
        if not self._waiting[lane]:
            del self._waiting[lane]
