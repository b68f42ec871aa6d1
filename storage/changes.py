"""Tells waiting readers that a task has changed."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Changes:
    """Wakes those who wait for a task; whoever wakes up reads what is new from the store."""

    def __init__(self) -> None:
        self._expected: dict[str, set[anyio.Event]] = {}

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

    def tell(self, task_id: str) -> None:
        """Wake everyone who waits for this task."""
        for change in self._expected.get(task_id, ()):
            change.set()
