"""Records of tool calls and of the decisions about them.

Times are integers: microseconds since the epoch, UTC.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from storage.records.masked import MaskedArgs, MaskedText
from storage.records.states import CallStatus, Status

Outcome = Literal["proceed_once", "proceed_always", "cancel"]

KEYED = "keyed:"
"""Prefix of a digest made with a key that only this server's memory holds: a later server cannot compute it again."""

HIDDEN = "hidden"
"""Outcome of a call refused unasked, because part of it would have been hidden from the person who decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Everything besides its arguments that determines what a call does; an approval counts under these alone."""

    digest: str
    content: Mapping[str, Any]
    differ: Callable[[Mapping[str, Any] | None], Sequence[str]]
    """Return how they differ from other content, in sentences; the other is None if nothing was approved yet."""


class CallContext(TypedDict, total=False):
    """The facts that the store needs about a call that is about to begin."""

    circumstances: Circumstances | None
    """The circumstances that an approval counts for; None where no approval is asked for."""

    asked: bool
    """Whether the agent asks before it makes the call: the default."""

    reads: bool
    """Whether the call only reads what the task has made."""

    hidden: MaskedText | None
    """Why nobody can decide the call: a part of it would be hidden from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """A tool call as an agent announces it. `key` is the agent's own name for it, unique within its turn.

    `similar` is empty for a call that can only be approved once.
    """

    key: MaskedText
    id: str
    tool_name: MaskedText
    args: MaskedArgs
    digest: str
    similar: Sequence[str]
    description: MaskedText


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
    """For a call that waits or has waited: how its circumstances differ from those last approved, in sentences."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """The result of an executed call. `dropped` is the number of characters of output that were not kept."""

    status: CallStatus
    output: MaskedText
    dropped: int = 0
    exit_status: int | None = None
    ran_us: int | None = None


@dataclass(frozen=True, slots=True)
class NewGrant:
    """A standing approval to be given; the session that it is for lasts until then at least (microseconds)."""

    id: str
    session_expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An approval or refusal of one call."""

    outcome: Outcome
    by: str
    reason: str | None
    grant: NewGrant | None = None
    """What `proceed_always` grants; None with any other outcome."""


@dataclass(frozen=True, slots=True)
class DecisionResult:
    """The result of a decision: the call and the task's status; `repeated` if the same decision came before."""

    call: Call
    status: Status
    repeated: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """A `proceed_always` in force for one session."""

    id: str
    session: str
    task_id: str | None
    tool_name: str
    description: str
    granted_by: str
    created_at: int
    expires_at: int
