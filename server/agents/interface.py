"""What an agent is, and the one way it acts: through its turn.

The gate before every call is the server's, so it does not rest on an agent's good manners.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol


class Suspended(Exception):
    """The run ends here without holding a process; the decision about a waiting call starts the next."""


class OutOfCalls(Exception):
    """The run ends here because the task has made as many calls as it may; more of them start the next."""


class Stopped(Exception):
    """The agent will not go on because a call was refused; the task ends as cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A tool call an agent wants to make. `key` is its own name for it, the same in every run of the turn."""

    key: str
    tool_name: str
    args: Mapping[str, Any]
    description: str


class Permission(Enum):
    """What has become of a proposed call."""

    PROCEED = "proceed"
    REFUSED = "refused"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended: its exit status (128 + N for signal N), and the end of its output, masked."""

    status: int
    tail: str
    limit: str | None


class Turn(Protocol):
    """One message and everything an agent may do about it."""

    @property
    def message(self) -> str:
        """What was asked for."""
        ...

    async def propose(self, proposals: Sequence[Proposal]) -> None:
        """Announce calls, in order, before any of them is made."""
        ...

    async def call(self, key: str) -> Permission:
        """Return once the proposed call may proceed, is refused, or was done by an earlier run.

        Raises Suspended when it has to wait for approval, OutOfCalls when the task may make no more.
        """
        ...

    async def run(self, key: str, argv: tuple[str, ...]) -> Finished:
        """Execute a call that may proceed, as a command in the sandbox, and note how it ended."""
        ...


class Agent(Protocol):
    """One way of doing tasks."""

    @property
    def id(self) -> str:
        """The name a task asks for it by."""
        ...

    @property
    def description(self) -> str:
        """What it does and needs, for whoever chooses."""
        ...

    def check(self, message: str) -> None:
        """Raise RemitError (VALIDATION_ERROR) for a message that cannot be worked on at all."""
        ...

    async def work(self, turn: Turn) -> None:
        """Do the turn. Returning means completed.

        Raises RemitError for a failure, Stopped for a refused call, Suspended from the turn itself.
        Called again from the start after a suspension: what is done already answers DONE.
        """
        ...
