"""Exceptions that end a run without ending its task, and an agent's refusals."""

from collections.abc import Mapping

from server.errors import Code, RemitError


class Suspended(Exception):
    """The run ends without holding a process; the decision about a waiting call starts the next run."""


class Awaiting(Exception):
    """The run ends without holding a process; the end of all these sub-tasks, or a timeout, starts the next run."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        """`seconds`: how long to wait for each at most, by their ids."""
        super().__init__(", ".join(seconds))
        self.seconds = seconds


class OutOfCalls(Exception):
    """The run ends because the task has made its last call; more calls granted start the next run."""


class Stopped(Exception):
    """The agent stops because a call was refused; the task ends as cancelled."""


class NeedsModel(RemitError):
    """The message is in words, but its agent has no model."""

    def __init__(self, reason: str) -> None:
        super().__init__(Code.VALIDATION_ERROR, f"message: {reason}", field="message")
