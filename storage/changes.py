"""Tells those who wait that a task has changed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio


@dataclass(slots=True)
class TransactionChanges:
    """What one transaction changed."""

    changed: set[str] = field(default_factory=set)
    """The ids of tasks whose log has grown, or that are gone."""

    ended: set[str] = field(default_factory=set)
    """The ids of tasks that have ended, or are gone."""

    unfinished: bool = False
    """Whether ends of tasks have still to be told to their dependants."""

    expiring: bool = False
    """Whether one more approval waits that will expire."""


class Changes:
    """Wakes those who wait for a task; whoever wakes up reads what is new from the store."""

    def __init__(self) -> None:
        self._expected: dict[str, set[anyio.Event]] = {}
        self._on_end: list[Callable[[str], None]] = []
        self._unfinished = anyio.Event()
        self._expiring = anyio.Event()
        self._committed: anyio.Event | None = None

    @contextmanager
    def expected(self, task_id: str) -> Iterator[anyio.Event]:
        """An event set at the task's next change. Enter before reading, or a change in between is missed."""
        change = anyio.Event()
        self._expected.setdefault(task_id, set()).add(change)
        try:
            yield change
        finally:
            waiting = self._expected[task_id]
            waiting.discard(change)
            if not waiting:
                del self._expected[task_id]

    def on_end(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the id of every task that ends or is removed from now on."""
        self._on_end.append(listener)

    async def unfinished(self) -> None:
        """Until the end of some task has still to be told to its dependants."""
        await self._unfinished.wait()
        self._unfinished = anyio.Event()

    def next_expiring(self) -> anyio.Event:
        """Set when one more approval waits that will expire."""
        self._expiring = anyio.Event()
        return self._expiring

    async def committed(self) -> None:
        """Until the next transaction has been written."""
        if self._committed is None:
            self._committed = anyio.Event()
        await self._committed.wait()

    def publish(self, changes: TransactionChanges) -> None:
        """Wake everyone concerned by a transaction. To be called in the event loop, after the commit."""
        if self._committed is not None:
            self._committed.set()
            self._committed = None
        for task_id in changes.changed:
            for change in self._expected.get(task_id, ()):
                change.set()
        for task_id in changes.ended:
            for listener in self._on_end:
                listener(task_id)
        if changes.expiring:
            self._expiring.set()
        if changes.unfinished:
            self._unfinished.set()
