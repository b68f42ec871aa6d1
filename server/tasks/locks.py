"""Locks by task: a turn is opened, and a task's folder removed, by one request at a time."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

import anyio


class KeyedLock:
    """One lock for each task, kept while somebody holds or awaits it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    def __call__(self, task_id: str) -> anyio.Lock:
        """Return the lock of a task."""
        return self._locks.setdefault(task_id, anyio.Lock())

    @asynccontextmanager
    async def all(self, task_ids: Iterable[str]) -> AsyncIterator[None]:
        """Hold the locks of several tasks, taken in sorted order so that two holders cannot deadlock."""
        async with AsyncExitStack() as held:
            for task_id in sorted(task_ids):
                await held.enter_async_context(self(task_id))
            yield
