"""Tells waiting readers that a task has changed."""

import anyio


class Changes:
    """One wake-up per task and change; whoever wakes up reads what is new from the store."""

    def __init__(self) -> None:
        self._expected: dict[str, anyio.Event] = {}

    def expect(self, task_id: str) -> anyio.Event:
        """An event set at the task's next change. Take it before reading, or a change in between is missed."""
        return self._expected.setdefault(task_id, anyio.Event())

    def tell(self, task_id: str) -> None:
        """Wake everyone who waits for this task."""
        expected = self._expected.pop(task_id, None)
        if expected:
            expected.set()
