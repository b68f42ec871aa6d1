"""Who may open the next turn of a task, and who must not have it opened meanwhile: one at a time."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

import anyio


class KeyedLock:
    """A lock for each task."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    def __call__(self, task_id: str) -> anyio.Lock:
        """The lock of a task."""
        return self._locks.setdefault(task_id, anyio.Lock())

    @asynccontextmanager
    async def all(self, task_ids: Iterable[str]) -> AsyncIterator[None]:
        """Hold the locks of several tasks, taken in one order so that no two wait for each other."""
        async with AsyncExitStack() as held:
            for task_id in sorted(task_ids):
                await held.enter_async_context(self(task_id))
            yield
