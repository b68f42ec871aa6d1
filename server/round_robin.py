"""Fair turns, at the database and elsewhere: each lane that has something to do gets one operation after the other.

Without them the first to ask is served first, and a connection with a thousand calls holds up everybody else's.
"""

from collections import OrderedDict, deque
from contextvars import ContextVar

import anyio

LANE: ContextVar[object] = ContextVar("LANE", default=None)
"""For whom the current task works: a connection, a run of a task, or None for the server itself."""

AT_ONCE = 2
"""Operations handed to the thread of the database: while one runs, the next is there already."""


class RoundRobinLock:
    """A lock for several holders at once, which goes to the waiting lanes in rotation."""

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
        """Pass the turn on."""
        if not self._waiting:
            self._free += 1
            return
        lane, waiting = self._waiting.popitem(last=False)
        waiting.popleft().set()
        if waiting:
            self._waiting[lane] = waiting  # at the end: it is the others' turn first

    def _leave(self, lane: object, called: anyio.Event) -> None:
        if called.is_set():
            self.release()
            return
        self._waiting[lane].remove(called)
        if not self._waiting[lane]:
            del self._waiting[lane]
