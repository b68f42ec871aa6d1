"""Notifications of changed and ended tasks for those who wait for them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio


@dataclass(slots=True)
class TransactionChanges:
    """The changes that one transaction made, to be published after its commit."""

    changed: set[str] = field(default_factory=set)
    """Ids of tasks whose log has grown, or that were removed."""

    ended: set[str] = field(default_factory=set)
    """Ids of tasks that ended, or were removed."""

    unfinished: bool = False
    """Whether dependants of ended tasks remain to be updated."""

    expiring: bool = False
    """Whether a call with an expiry time began to wait for approval."""


class Changes:
    """Wakes waiters when tasks change. A notification carries no data: the waiter reads the store again."""

    def __init__(self) -> None:
        self._expected: dict[str, set[anyio.Event]] = {}
        self._on_end: list[Callable[[str], None]] = []
        self._unfinished = anyio.Event()
        self._expiring = anyio.Event()
        self._committed: anyio.Event | None = None

    @contextmanager
    def expected(self, task_id: str) -> Iterator[anyio.Event]:
        """Return an event that is set at the task's next change. Enter before reading, or a change is missed."""
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
        """Wait until dependants of ended tasks remain to be updated."""
        await self._unfinished.wait()
        self._unfinished = anyio.Event()

    def next_expiring(self) -> anyio.Event:
        """Return an event that is set when one more call with an expiry time waits for approval."""
        self._expiring = anyio.Event()
        return self._expiring

    async def committed(self) -> None:
        """Wait until the next transaction has been committed."""
        if self._committed is None:
            self._committed = anyio.Event()
        await self._committed.wait()

    def publish(self, changes: TransactionChanges) -> None:
        """Wake everyone whom a transaction's changes concern. Call it in the event loop, after the commit."""
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
