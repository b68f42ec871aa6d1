"""From records to what a user is shown: long text cut at both ends, with a word on how to read the rest."""

from typing import Any, TypeVar

from server.tasks import branches, calls, graphs
from server.tasks.finding import ORGANIZATION
from server.tasks.requests import GetTask
from server.tasks.text import cut, time, time_or_none
from server.tasks.views import (
    EventView,
    GrantView,
    MessageView,
    OutputView,
    PendingApprovalView,
    TaskView,
    ToolCallView,
    UsageView,
)
from storage.records import Event, Message, Snapshot, Task
from storage.retention import Retention
from storage.states import ENDED, CallStatus, Status
from storage.toolcalls import Call, Grant

T = TypeVar("T")

READ_ON = 'raise maxChars, or page through include=["events"] with afterEvent'

MIN_TEXT = 200
"""Characters below which no text is cut."""

SHARE = 10
"""What stands in `output.content` anyway, a call's output and the result, gets a tenth of its characters."""


def task(snapshot: Snapshot, retention: Retention, request: GetTask) -> TaskView:
    """A task with everything that belongs to it."""
    task, max_chars, include = snapshot.task, request.max_chars, request.include
    content = cut(snapshot.content, max_chars, READ_ON)
    view = TaskView(
        id=task.id,
        apiKeyId=task.principal,
        userId=task.principal,
        username=task.username,
        organizationId=ORGANIZATION,
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
        createdAt=time(task.created_at),
        startedAt=time_or_none(task.started_at),
        completedAt=time_or_none(task.completed_at),
        updatedAt=time(task.updated_at),
        lastActivityAt=time(task.last_activity_at),
        messageCount=task.message_count,
        lastEvent=task.last_event,
        result=cut(snapshot.content, _share(max_chars)) if task.status is Status.COMPLETED else None,
    )
    _add_state(view, task)
    if snapshot.workspace:
        view["workspace"] = branches.workspace(task.id, snapshot.workspace, _share(max_chars))
    _add_ends(view, task, retention)
    _add_labels(view, task, max_chars)
    _add_relations(view, snapshot)
    if snapshot.calls or snapshot.content or snapshot.thoughts or task.status in ENDED:
        view["output"] = _output(snapshot, content, max_chars)
    if waiting := [_pending(call, max_chars) for call in snapshot.calls if call.status is CallStatus.AWAITING_APPROVAL]:
        view["pendingApprovals"] = _latest(waiting, max_chars)
    if "messages" in include:
        messages = [_message(message, task, max_chars) for message in snapshot.messages]
        view["messages"] = _latest(messages, max_chars)
        if omitted := snapshot.omitted_messages + len(messages) - len(view["messages"]):
            view["omittedMessages"] = omitted
    if "events" in include:
        view["events"] = _events(snapshot.events, max_chars)
        # Lines are removed from the first on: what comes later than the one asked for, and is not there, was.
        first = view["events"][0]["number"] if view["events"] else task.last_event + 1
        if (removed := first - 1 - (request.after_event or 0)) > 0:
            view["omittedEvents"] = removed
    return view


def grant(grant: Grant) -> GrantView:
    """A grant as the person who gave it wants to see it."""
    return GrantView(
        id=grant.id,
        taskId=grant.task_id,
        toolName=grant.tool_name,
        description=grant.description,
        grantedBy=grant.granted_by,
        createdAt=time(grant.created_at),
        expiresAt=time(grant.expires_at),
    )


def _add_state(view: TaskView, task: Task) -> None:
    demands = task.demands or {}
    if "limits" in demands:
        view["limits"] = demands["limits"]
    if "require" in demands:
        view["require"] = demands["require"]
    if demands.get("allowHooks"):
        view["allowHooks"] = True
    if "mcpServers" in demands:
        view["mcpServers"] = demands["mcpServers"]
    if task.sandbox:
        view["sandbox"] = task.sandbox
    if task.error_code:
        view["errorCode"] = task.error_code
    if task.blocked_reason:
        view["blockedReason"] = task.blocked_reason
        view["blockedAt"] = time(task.blocked_at or task.updated_at)
    if task.cancel_requested:
        view["cancelRequested"] = True


def _add_ends(view: TaskView, task: Task, retention: Retention) -> None:
    """How long it is kept at least, and what of it is gone already."""
    if expires_at := retention.expires_at(task.completed_at):
        view["expiresAt"] = time(expires_at)
    if task.workspace_removed_at is not None:
        view["workspaceRemovedAt"] = time(task.workspace_removed_at)


def _add_relations(view: TaskView, snapshot: Snapshot) -> None:
    if snapshot.depends_on:
        view["dependsOn"] = snapshot.depends_on
        view["onDependencyFailure"] = snapshot.task.on_dependency_failure
    if omitted := snapshot.dependency_count - len(snapshot.depends_on):
        view["omittedDependencies"] = omitted
    if snapshot.blocked_by:
        view["blockedByTaskIds"] = snapshot.blocked_by
    if (omitted := snapshot.task.open_dependencies - len(snapshot.blocked_by)) > 0:
        view["omittedBlockers"] = omitted
    if snapshot.approvals_beneath:
        view["subtasksAwaitingApproval"] = snapshot.approvals_beneath
    if snapshot.neighbours:
        view["graph"] = graphs.neighbours(snapshot.neighbours)


def _add_labels(view: TaskView, task: Task, max_chars: int) -> None:
    """What many tasks do not have is shown where it is there."""
    if task.description is not None:
        view["description"] = cut(task.description, max_chars)
    if task.task_list is not None:
        view["taskListId"] = task.task_list
    if task.parent is not None:
        view["parentTaskId"] = task.parent
    if task.triggering_agent is not None:
        view["triggeringAgentId"] = task.triggering_agent
    if task.assigned_agent is not None:
        view["assignedAgentId"] = task.assigned_agent
    if task.internal_status is not None:
        view["internalStatus"] = task.internal_status
    if task.progress is not None:
        view["progress"] = task.progress
    if task.progress_message is not None:
        view["progressMessage"] = task.progress_message
    if task.max_calls is not None:
        view["maxCalls"] = task.max_calls
    if task.source is not None:
        view["sourceNodeType"] = task.source


def _output(snapshot: Snapshot, content: str, max_chars: int) -> OutputView:
    calls = [_call(call, _share(max_chars)) for call in snapshot.calls]
    shown = _latest(calls, max_chars)
    view = OutputView(content=content, updatedAt=time_or_none(snapshot.content_at), toolCalls=shown)
    if snapshot.thoughts:
        view["thoughts"] = _latest(
            [_cut_values(thought, _share(max_chars)) for thought in snapshot.thoughts], max_chars
        )
    if omitted := len(calls) - len(shown):
        view["omittedToolCalls"] = omitted
    if snapshot.turn.requests:
        turn = snapshot.turn
        view["usage"] = UsageView(
            requests=turn.requests, inputTokens=turn.input_tokens, outputTokens=turn.output_tokens
        )
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
        view["decidedAt"] = time(call.decided_at)
    if call.reason:
        view["reason"] = cut(call.reason, max_chars)
    return view


def _pending(call: Call, max_chars: int) -> PendingApprovalView:
    view = PendingApprovalView(
        callId=call.id,
        call=calls.line(call.tool_name, call.args),
        toolName=call.tool_name,
        args=_cut_values(call.args, max_chars),
        description=call.description,
    )
    if call.expires_at:
        view["expiresAt"] = time(call.expires_at)
    return view


def _message(message: Message, task: Task, max_chars: int) -> MessageView:
    view = MessageView(role=message.role, content=cut(message.content, max_chars), createdAt=time(message.at))
    if message.task_id != task.id:
        view["taskId"] = message.task_id
    return view


def _events(events: list[Event], max_chars: int) -> list[EventView]:
    """As many events as the characters allow, and at least one, so that a reader always gets on."""
    shown: list[EventView] = []
    for event in events:
        whole = event.kind in ("content", "output")
        data = event.data if whole else _cut_values(event.data, max(max_chars, MIN_TEXT))
        max_chars -= len(str(data)) + 100
        if shown and max_chars < 0:
            break
        shown.append(EventView(number=event.number, at=time(event.at), type=event.kind, data=data))
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
