"""Views of an agent's calls: those made, and those that wait for a decision."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from server.tasks.views import call_line, truncation
from server.tasks.views.formatting import time
from server.tasks.views.output_view import MAX_REPEATED, repeated
from server.tasks.views.pending_approval import PendingApprovalView
from server.tasks.views.truncation import AnswerPart
from server.tasks.views.view_models import OutputView, TaskView, ToolCallView
from storage.records.calls import KEYED, Call

V = TypeVar("V", ToolCallView, PendingApprovalView)

_LEAST_PENDING = 800
"""Characters in which any call that waits can be shown, its texts shortened."""


def pending(view: TaskView, waiting: Sequence[Call]) -> AnswerPart:
    """Place the waiting calls, the first ones first; of a long one the arguments are shortened, never the id."""
    shown, least = [_pending(call) for call in waiting], _LEAST_PENDING
    return truncation.items(
        view, "pendingApprovals", shown, "omittedApprovals", narrow=_narrow_pending, least=least, weight=12
    )


def made(view: OutputView, known: Sequence[Call], content: str) -> list[AnswerPart]:
    """Return the calls of a turn, latest kept. A long output that `content` already shows is shortened."""
    shown = [_call(call, content) for call in known]
    return [
        truncation.items(
            view, "toolCalls", shown, "omittedToolCalls", narrow=_narrow_call, least=0, latest=True, weight=6
        )
    ]


def _call(call: Call, content: str) -> ToolCallView:
    view = ToolCallView(
        callId=call.id,
        toolName=call.tool_name,
        status=call.status,
        args=call.args,
        description=call.description,
    )
    if call.output is not None:
        is_repeated = len(call.output) > MAX_REPEATED and call.output in content
        view["output"] = repeated(call.output) if is_repeated else call.output
    if call.exit_status is not None:
        view["exitStatus"] = call.exit_status
    if call.ran_us is not None:
        view["seconds"] = round(call.ran_us / 1_000_000, 3)
    if call.outcome:
        view["outcome"] = call.outcome
    if call.decided_by:
        view["decidedBy"] = call.decided_by
    if call.decided_at:
        view["decidedAt"] = time(call.decided_at)
    if call.reason:
        view["reason"] = call.reason
    return view


def _pending(call: Call) -> PendingApprovalView:
    view = PendingApprovalView(
        callId=call.id,
        call=call_line.line(call.tool_name, call.args, call.differs),
        toolName=call.tool_name,
        args=call.args,
        description=call.description,
    )
    if call.differs:
        view["differs"] = call.differs
    if call.digest.startswith(KEYED):
        view["onceOnly"] = True
    if call.expires_at:
        view["expiresAt"] = time(call.expires_at)
    return view


def _narrow_call(view: ToolCallView, room: int) -> ToolCallView:
    return _narrow(view, room, "output", "reason", "description", "decidedBy", "toolName")


def _narrow_pending(view: PendingApprovalView, room: int) -> PendingApprovalView:
    return _narrow(view, room, "description", "toolName")


def _narrow(view: V, room: int, *names: str) -> V:
    """Return the view in `room` characters, with its arguments and the texts called `names` shortened."""
    given = cast("dict[str, Any]", view)
    elastic = {"args": given["args"], **{name: given[name] for name in names if name in given}}
    shown = {**given, **{name: {} if name == "args" else "" for name in elastic}}
    parts = [
        truncation.values(shown, name, value, 4) if name == "args" else truncation.text(shown, name, value)
        for name, value in elastic.items()
    ]
    if "differs" in given:
        shown["differs"] = []
        parts.append(truncation.items(shown, "differs", given["differs"], "omittedDifferences", weight=4))
    truncation.fill(shown, parts, room)
    return cast("V", shown)
