"""The states of tasks and calls, and the transitions that are allowed: the one place that defines them."""

from enum import StrEnum

from server.errors import Code

CUT_OFF = "cut off"
"""Prefix of the reason of every call that was interrupted."""


class Status(StrEnum):
    """The status of a task."""

    PENDING = "pending"
    BLOCKED = "blocked"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class CallStatus(StrEnum):
    """The status of one tool call."""

    PENDING = "pending"
    AWAITING_APPROVAL = "awaiting_approval"
    EXECUTING = "executing"
    SUCCESS = "success"
    ERROR = "error"
    CANCELLED = "cancelled"


_S = Status
_C = CallStatus

TASK_MOVES: dict[Status, frozenset[Status]] = {
    _S.PENDING: frozenset({_S.RUNNING, _S.BLOCKED, _S.PAUSED, _S.FAILED, _S.CANCELLED}),
    _S.BLOCKED: frozenset({_S.PENDING, _S.AWAITING_APPROVAL, _S.FAILED, _S.CANCELLED}),
    _S.RUNNING: frozenset(
        {_S.AWAITING_APPROVAL, _S.PAUSED, _S.PENDING, _S.BLOCKED, _S.COMPLETED, _S.FAILED, _S.CANCELLED}
    ),
    _S.AWAITING_APPROVAL: frozenset({_S.RUNNING, _S.PENDING, _S.BLOCKED, _S.CANCELLED, _S.FAILED}),
    _S.PAUSED: frozenset({_S.PENDING, _S.CANCELLED}),
    # An ended task goes on only with its next turn.
    _S.COMPLETED: frozenset({_S.PENDING, _S.BLOCKED}),
    _S.FAILED: frozenset({_S.PENDING, _S.BLOCKED}),
    _S.CANCELLED: frozenset({_S.PENDING, _S.BLOCKED}),
}

CALL_MOVES: dict[CallStatus, frozenset[CallStatus]] = {
    _C.PENDING: frozenset({_C.AWAITING_APPROVAL, _C.EXECUTING, _C.CANCELLED}),
    # An approved call waits as `pending` for the run that executes it.
    _C.AWAITING_APPROVAL: frozenset({_C.PENDING, _C.CANCELLED}),
    _C.EXECUTING: frozenset({_C.SUCCESS, _C.ERROR, _C.CANCELLED}),
    _C.SUCCESS: frozenset(),
    _C.ERROR: frozenset(),
    _C.CANCELLED: frozenset(),
}

ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
OPEN = frozenset(Status) - ENDED

CALL_ENDED = frozenset({CallStatus.SUCCESS, CallStatus.ERROR, CallStatus.CANCELLED})

# Reasons for `blocked` that the store finds. A record that others execute has the reason that they reported.
DEPENDENCIES = "DEPENDENCIES"
LOST = Code.SECRETS_LOST
SUBTASKS = "SUBTASKS"
BUSY = "WORKSPACE_BUSY"
REPORTED = "REPORTED"
"""Reason of a record that was reported as blocked without a reason."""

RESTORED = "RESTORED"
"""Reason for `paused`, after a restore: nobody knows whether the task went on after the backup was made."""

OUR_REASONS = frozenset({BUSY, DEPENDENCIES, LOST, RESTORED, SUBTASKS})
"""Reasons that a caller cannot report: all but REPORTED, of blocked and of paused tasks."""

# The three source APIs name some states differently; a filter understands all of them.
SYNONYMS: dict[str, frozenset[Status]] = {
    "in_progress": frozenset({Status.RUNNING, Status.AWAITING_APPROVAL}),
    "executing": frozenset({Status.RUNNING, Status.AWAITING_APPROVAL}),
    "queued": frozenset({Status.PENDING}),
    "stopped": frozenset({Status.CANCELLED}),
    "error": frozenset({Status.FAILED}),
}


def statuses(name: str) -> frozenset[Status]:
    """Return the statuses that a filter word stands for, synonyms included. Raises ValueError for an unknown word."""
    return SYNONYMS.get(name) or frozenset({Status(name)})


def may_become(current: Status, target: Status) -> bool:
    """Return whether a task may change from `current` to `target`."""
    return target in TASK_MOVES[current]


def call_may_become(current: CallStatus, target: CallStatus) -> bool:
    """Return whether a call may change from `current` to `target`."""
    return target in CALL_MOVES[current]
