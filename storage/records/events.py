"""The log of a task: its lines, and all the kinds that there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from server.errors import Code
from storage.records.masked import MaskedText


class EventKind(StrEnum):
    """The kinds of events in a task's log, stored and shown by value; the text beneath each is about its data."""

    STATUS = "status"
    """The task's status, or what else was changed of it: `status`; `blockedReason`, `cancelRequested`, new fields."""

    CONTENT = "content"
    """A piece of the turn's answer: `text`; `callId` where a command's output is the answer."""

    OUTPUT = "output"
    """A piece of a command's output, where the agent speaks for itself: `text`, `callId`."""

    THOUGHT = "thought"
    """One thought of the agent: `subject`, `description`."""

    TOOL_CALL = "tool_call"
    """A call that is new or was decided: `callId`, `toolName`, `status`; `args`, or `outcome`, `by`, `reason`."""

    TOOL_RESULT = "tool_result"
    """A call that ended: `callId`, `toolName`, `status`, `exitStatus` where it has one."""

    SUBTASK = "subtask"
    """A sub-task's new status: `taskId`, `status`, and what else its own event of kind `status` says."""

    WARNING = "warning"
    """What is to be known of a run or of a call: `message`, `callId` of a call."""

    ERROR = "error"
    """What went wrong or was refused: `code`, `message`; `callId` or `tool` where it is about one."""

    DONE = "done"
    """The end of a turn: `finalResponse`."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a task's log; `data` has the fields that its kind names."""

    number: int
    at: int
    kind: EventKind
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A line that the store itself appends to a task's log."""

    kind: EventKind
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A line that a run appends to its task's log: `texts` by the names of their fields, and what they are about."""

    kind: EventKind
    texts: Mapping[str, MaskedText]
    code: Code | None = None
    call_id: str | None = None

    @property
    def data(self) -> dict[str, Any]:
        """The fields that its kind names."""
        data: dict[str, Any] = {} if self.code is None else {"code": self.code}
        data |= self.texts
        return data if self.call_id is None else {**data, "callId": self.call_id}
