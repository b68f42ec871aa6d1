"""The tool calls of agents, and what was decided of them, as frozen records.

Times are integers: microseconds since the epoch, UTC.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from storage.records.states import CallStatus, Status

Outcome = Literal["proceed_once", "proceed_always", "cancel"]

KEYED = "keyed:"
"""Begins the digest of a call that no later server can make again: it was made with a key in memory."""

HIDDEN = "hidden"
"""The outcome of a call that nobody was asked about, since a part of it would have been hidden from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What decides, besides its arguments, what a call does; a yes counts for one call under these alone."""

    digest: str
    content: Mapping[str, Any]
    differ: Callable[[Mapping[str, Any] | None], Sequence[str]]
    """How they differ from the content of others, in sentences for whoever decides; None for a task without a yes."""


class CallContext(TypedDict, total=False):
    """What there is to know of a call that is to begin."""

    circumstances: Circumstances | None
    """Those that a yes counts for; None where nobody is asked."""

    asked: bool
    """Whether its agent asks before it makes it: the default."""

    reads: bool
    """Whether it only reads what the task has made."""

    hidden: str | None
    """Why nobody can decide it: a part of it would be hidden from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """A tool call as an agent announces it. `key` is the agent's own name for it, unique in its turn.

    `similar` is empty for a call that can be approved once alone.
    """

    key: str
    id: str
    tool_name: str
    args: Mapping[str, Any]
    digest: str
    similar: Sequence[str]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One tool call of an agent."""

    id: str
    turn: int
    key: str
    tool_name: str
    args: dict[str, Any]
    digest: str
    description: str
    status: CallStatus
    output: str | None
    dropped: int
    exit_status: int | None
    ran_us: int | None
    requested_at: int | None
    expires_at: int | None
    outcome: str | None
    decided_by: str | None
    decided_at: int | None
    reason: str | None
    differs: list[str]
    """Of one that waits, or has waited: how its circumstances differ from those of the last yes, in sentences."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """How an executed call ended. `dropped` counts the characters of output that were not kept."""

    status: CallStatus
    output: str
    dropped: int = 0
    exit_status: int | None = None
    ran_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A yes or no to one call."""

    outcome: Outcome
    by: str
    reason: str | None
    grant: str
    session_expires_at: int


@dataclass(frozen=True, slots=True)
class DecisionResult:
    """What a decision came to."""

    call: Call
    status: Status
    repeated: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """A `proceed_always` that is in force for one session."""

    id: str
    session: str
    task_id: str | None
    tool_name: str
    description: str
    granted_by: str
    created_at: int
    expires_at: int
