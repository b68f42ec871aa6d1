"""Exceptions that end a run without ending its task, and an agent's refusals."""

from collections.abc import Mapping

from server.errors import Code, RemitError


class Suspended(Exception):
    """The end of a run that waits without a process; the decision about a waiting call starts the next run."""


class Awaiting(Exception):
    """The end of a run that waits without a process; the end of these sub-tasks, or a timeout, starts the next run."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        """Record how long to wait: `seconds` are the timeouts, by the sub-tasks' ids."""
        super().__init__(", ".join(seconds))
        self.seconds = seconds


class OutOfCalls(Exception):
    """The end of a run whose task has made its last allowed call; allowing more calls starts the next run."""


class Stopped(Exception):
    """The end of a run after a refused call; the task ends as cancelled."""


class NeedsModel(RemitError):
    """A message in words for an agent without a model."""

    def __init__(self, reason: str) -> None:
        super().__init__(Code.VALIDATION_ERROR, f"message: {reason}", field="message")
