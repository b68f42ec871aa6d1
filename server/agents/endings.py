"""How a run of an agent ends where its task does not, and why an agent will not begin or go on."""

from collections.abc import Mapping

from server.errors import Code, RemitError


class Suspended(Exception):
    """The run ends here without holding a process; the decision about a waiting call starts the next."""


class Awaiting(Exception):
    """The run ends here without holding a process; the end of all these sub-tasks, or a time, starts the next."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        """`seconds` are how long each is waited for at most, by the ids."""
        super().__init__(", ".join(seconds))
        self.seconds = seconds


class OutOfCalls(Exception):
    """The run ends here because the task has made as many calls as it may; more of them start the next."""


class Stopped(Exception):
    """The agent will not go on because a call was refused; the task ends as cancelled."""


class NeedsModel(RemitError):
    """A message is in words, and the agent it is for has no model to understand them."""

    def __init__(self, reason: str) -> None:
        super().__init__(Code.VALIDATION_ERROR, f"message: {reason}", field="message")
