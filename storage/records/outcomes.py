"""Outcomes of runs: how a run can end. `storage.interface.RunStore.end_run` takes any of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from server.errors import Code
from storage.records.masked import MaskedText
from storage.records.states import Status


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The end of a run and of its turn: an ended status, with the error if it failed."""

    status: Status
    error_code: Code | None = None
    error: MaskedText | None = None


class Pause(StrEnum):
    """The end of a run whose turn goes on later; the value is recorded with the run."""

    SUSPENDED = "suspended"
    """A call waits for a decision."""

    PAUSED = "paused"
    """The task's budget of calls is used up."""

    BLOCKED = "blocked"
    """The values of its secrets are lost."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The end of a run that waits for other tasks to end: by their ids, until when at most (microseconds)."""

    until: Mapping[str, int]


class Interrupter(StrEnum):
    """The causes that cut off a run from outside, in words."""

    SERVER = "the server ended"
    DATABASE = "the database failed"


@dataclass(frozen=True, slots=True)
class Interruption:
    """The end of a run that was cut off from outside."""

    by: Interrupter = Interrupter.SERVER


RunOutcome = TurnEnd | Pause | Wait | Interruption
