"""From records to what a user is shown: long text cut at both ends, with a word on how to read the rest."""

from datetime import UTC, datetime
from typing import Any, TypeVar

from server.tasks.views import (
    EventView,
    GrantView,
    MessageView,
    OutputView,
    PendingApprovalView,
    RowView,
    TaskView,
    ToolCallView,
)
from storage.records import Call, Event, Grant, Message, Row, Snapshot, Task
from storage.states import ENDED, CallStatus, Status

ROW_TEXT = 64
"""Bytes of a text in a list: fifty rows stay under 25 KB, which hosts take without cutting."""

T = TypeVar("T")

READ_ON = 'raise maxChars, or page through include=["events"] with afterEvent'

MIN_TEXT = 200
"""Characters below which no text is cut."""

SHARE = 10
"""What stands in `output.content` anyway, a call's output and the result, gets a tenth of its characters."""


def row(task: Row, waiting: int) -> RowView:
    """A task as one line of a list."""
    view = RowView(
        id=task.id,
        title=task.title and _start(task.title),
        status=task.status,
        message=_start(task.message),
        agentId=task.agent,
        username=task.username,
        conversationId=task.conversation,
        createdAt=_time(task.created_at),
        startedAt=_time_or_none(task.started_at),
        completedAt=_time_or_none(task.completed_at),
        lastActivityAt=_time(task.last_activity_at),
        messageCount=task.message_count,
    )
    if task.error:
        view["error"] = _start(task.error)
    if task.blocked_reason:
        view["blockedReason"] = task.blocked_reason
    if waiting:
        view["pendingApprovalCount"] = waiting
    return view


def task(snapshot: Snapshot, max_chars: int, include: list[str]) -> TaskView:
    """A task with everything that belongs to it."""
    task = snapshot.task
    content = cut(snapshot.content, max_chars, READ_ON)
    view = TaskView(
        id=task.id,
        apiKeyId=task.principal,
        username=task.username,
        sessionId=task.session,
        conversationId=task.conversation,
        status=task.status,
        agentId=task.agent,
        title=task.title,
        message=cut(task.message, max_chars),
        systemPrompt=task.system_prompt and cut(task.system_prompt, max_chars),
        showInHistory=task.show_in_history,
        autoExecute=task.auto_execute,
        env=task.env and _cut_values(task.env, _share(max_chars)),
        secretNames=list(snapshot.secrets),
        metadata=task.metadata and _cut_values(task.metadata, _share(max_chars)),
        timeoutSeconds=task.timeout_seconds,
        error=task.error and cut(task.error, max_chars),
        createdAt=_time(task.created_at),
        startedAt=_time_or_none(task.started_at),
        completedAt=_time_or_none(task.completed_at),
        updatedAt=_time(task.updated_at),
        lastActivityAt=_time(task.last_activity_at),
        messageCount=task.message_count,
        lastEvent=task.last_event,
        result=cut(snapshot.content, _share(max_chars)) if task.status is Status.COMPLETED else None,
    )
    _add_state(view, task)
    if snapshot.calls or snapshot.content or task.status in ENDED:
        view["output"] = _output(snapshot, content, max_chars)
    if waiting := [_pending(call, max_chars) for call in snapshot.calls if call.status is CallStatus.AWAITING_APPROVAL]:
        view["pendingApprovals"] = _latest(waiting, max_chars)
    if "messages" in include:
        messages = [_message(message, max_chars) for message in snapshot.messages]
        view["messages"] = _latest(messages, max_chars)
        if omitted := len(messages) - len(view["messages"]):
            view["omittedMessages"] = omitted
    if "events" in include:
        view["events"] = _events(snapshot.events, max_chars)
    return view


def grant(grant: Grant) -> GrantView:
    """A grant as the person who gave it wants to see it."""
    return GrantView(
        id=grant.id,
        taskId=grant.task_id,
        toolName=grant.tool_name,
        description=grant.description,
        grantedBy=grant.granted_by,
        createdAt=_time(grant.created_at),
        expiresAt=_time(grant.expires_at),
    )


def cut(text: str, limit: int, hint: str = "raise maxChars") -> str:
    """Text of at most about `limit` characters: its start and its end, with what is missing said between."""
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    tail = limit - head
    missing = len(text) - limit
    return f"{text[:head]}\n[… {missing} characters left out here; {hint} …]\n{text[-tail:]}"


def _add_state(view: TaskView, task: Task) -> None:
    demands = task.demands or {}
    if "limits" in demands:
        view["limits"] = demands["limits"]
    if "require" in demands:
        view["require"] = demands["require"]
    if demands.get("allowHooks"):
        view["allowHooks"] = True
    if task.sandbox:
        view["sandbox"] = task.sandbox
    if task.error_code:
        view["errorCode"] = task.error_code
    if task.blocked_reason:
        view["blockedReason"] = task.blocked_reason
    if task.cancel_requested:
        view["cancelRequested"] = True


def _output(snapshot: Snapshot, content: str, max_chars: int) -> OutputView:
    calls = [_call(call, _share(max_chars)) for call in snapshot.calls]
    shown = _latest(calls, max_chars)
    view = OutputView(content=content, updatedAt=_time_or_none(snapshot.content_at), toolCalls=shown)
    if omitted := len(calls) - len(shown):
        view["omittedToolCalls"] = omitted
    return view


def _latest(views: list[T], max_chars: int) -> list[T]:
    """As many from the end as the characters allow, and at least one."""
    shown: list[T] = []
    for view in reversed(views):
        max_chars -= len(str(view))
        if shown and max_chars < 0:
            break
        shown.append(view)
    return shown[::-1]


def _call(call: Call, max_chars: int) -> ToolCallView:
    view = ToolCallView(
        callId=call.id,
        toolName=call.tool_name,
        status=call.status,
        args=_cut_values(call.args, max_chars),
        description=call.description,
    )
    if call.output is not None:
        view["output"] = cut(call.output, max_chars)
    if call.exit_status is not None:
        view["exitStatus"] = call.exit_status
    if call.ran_us is not None:
        view["seconds"] = round(call.ran_us / 1_000_000, 3)
    if call.outcome:
        view["outcome"] = call.outcome
    if call.decided_by:
        view["decidedBy"] = call.decided_by
    if call.decided_at:
        view["decidedAt"] = _time(call.decided_at)
    if call.reason:
        view["reason"] = cut(call.reason, max_chars)
    return view


def _pending(call: Call, max_chars: int) -> PendingApprovalView:
    view = PendingApprovalView(
        callId=call.id,
        toolName=call.tool_name,
        args=_cut_values(call.args, max_chars),
        description=call.description,
    )
    if call.expires_at:
        view["expiresAt"] = _time(call.expires_at)
    return view


def _message(message: Message, max_chars: int) -> MessageView:
    return MessageView(role=message.role, content=cut(message.content, max_chars), createdAt=_time(message.at))


def _events(events: list[Event], max_chars: int) -> list[EventView]:
    """As many events as the characters allow, and at least one, so that a reader always gets on."""
    shown: list[EventView] = []
    for event in events:
        data = _cut_values(event.data, max(max_chars, MIN_TEXT)) if event.kind != "content" else event.data
        max_chars -= len(str(data)) + 100
        if shown and max_chars < 0:
            break
        shown.append(EventView(number=event.number, at=_time(event.at), type=event.kind, data=data))
    return shown


def _cut_values(values: dict[str, T], limit: int) -> dict[str, T]:
    """The same with every text in it, at any depth, cut like all long text."""
    return {name: _cut_value(value, limit) for name, value in values.items()}


def _cut_value(value: Any, limit: int) -> Any:
    match value:
        case str():
            return cut(value, limit)
        case dict():
            return _cut_values(value, limit)
        case list():
            return [_cut_value(item, limit) for item in value]
        case _:
            return value


def _share(max_chars: int) -> int:
    return max(MIN_TEXT, max_chars // SHARE)


def _start(text: str) -> str:
    line = " ".join(text.split())
    kept = line.encode()[: ROW_TEXT - 3].decode(errors="ignore")
    return line if len(line.encode()) <= ROW_TEXT else f"{kept}…"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time_or_none(at: int | None) -> str | None:
    return None if at is None else _time(at)
