"""Which moves are allowed: the one place that knows, for tasks and for calls."""

from enum import StrEnum

CUT_OFF = "cut off"
"""Begins the reason of each call that was."""


class Status(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    BLOCKED = "blocked"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class CallStatus(StrEnum):
    """Where one tool call of an agent stands."""

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
ENDED_SQL = "({})".format(", ".join(f"'{status}'" for status in sorted(ENDED)))
"""The same as SQL has it."""

CALL_ENDED = frozenset({CallStatus.SUCCESS, CallStatus.ERROR, CallStatus.CANCELLED})

# Why a task is blocked, as far as the store says it; of a record it is what was reported.
DEPENDENCIES = "DEPENDENCIES"
LOST = "SECRETS_LOST"
SUBTASKS = "SUBTASKS"
REPORTED = "REPORTED"
BUSY = "WORKSPACE_BUSY"
RESTORED = "RESTORED"
"""Why a task is paused that came out of a backup: whether it has gone on after that, nobody knows."""

OUR_REASONS = frozenset({BUSY, DEPENDENCIES, LOST, RESTORED, SUBTASKS})
"""Those that nobody can report."""

# The three source APIs name some states differently; a filter understands all of them.
SYNONYMS: dict[str, frozenset[Status]] = {
    "in_progress": frozenset({Status.RUNNING, Status.AWAITING_APPROVAL}),
    "executing": frozenset({Status.RUNNING, Status.AWAITING_APPROVAL}),
    "queued": frozenset({Status.PENDING}),
    "stopped": frozenset({Status.CANCELLED}),
    "error": frozenset({Status.FAILED}),
}


def statuses(name: str) -> frozenset[Status]:
    """The states a filter word stands for, synonyms included; raises ValueError for an unknown word."""
    return SYNONYMS.get(name) or frozenset({Status(name)})


def may_become(current: Status, target: Status) -> bool:
    """Whether a task may go from `current` to `target`."""
    return target in TASK_MOVES[current]


def call_may_become(current: CallStatus, target: CallStatus) -> bool:
    """Whether a call may go from `current` to `target`."""
    return target in CALL_MOVES[current]
