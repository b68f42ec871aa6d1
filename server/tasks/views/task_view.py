"""View of a task: all of it, or what is new, in at most as many characters as asked for."""

from collections.abc import Sequence

from server.tasks.requests.request_models import GetTask
from server.tasks.views import call_view, graph_view, log_view, truncation, workspace_view
from server.tasks.views.formatting import time, time_or_none
from server.tasks.views.list_view import ORGANIZATION
from server.tasks.views.output_view import TurnOutput, repeated
from server.tasks.views.pending_approval import GrantView
from server.tasks.views.truncation import AnswerPart
from server.tasks.views.view_models import OutputView, TaskView, UsageView
from storage.records.calls import Grant
from storage.records.demands import Demands
from storage.records.retention import Retention
from storage.records.states import ENDED, CallStatus, Status
from storage.records.tasks import Snapshot, Task

_SLACK = 400
"""Characters that the words about a task may take more than the same as JSON: so the output fits into both alike."""


def task(
    snapshot: Snapshot,
    retention: Retention,
    request: GetTask,
    *,
    since: int | None = None,
    folder: str | None = None,
    notes: Sequence[str] = (),
) -> TaskView:
    """Return a task with everything that belongs to it, in at most `request.max_chars` characters of compact JSON.

    A task whose fields need more than that, at most LEAST_ANSWER, is shown in as many, with a warning.

    With `since`, the number of an event, only what came after it, as `snapshot.new_parts` counts it; `folder` is where
    its worktree lies, `notes` further warnings. Raises RemitError (VALIDATION_ERROR) for an `output_cursor`
    that is none of its output.
    """
    view = _core(snapshot, retention)
    parts = [*_urgent(view, snapshot), *_warned(view, snapshot, request, notes), *_reported(view, snapshot.task)]
    if since is not None:
        view["afterEvent"] = since
    if snapshot.calls or snapshot.content or snapshot.thoughts or snapshot.task.status in ENDED:
        parts += _output(view, snapshot, request)
    if snapshot.workspace and (since is None or snapshot.task.status in ENDED):
        parts += workspace_view.workspace(view, snapshot.task.id, snapshot.workspace, folder)
    parts += _included(view, snapshot, request)
    if since is None:
        parts += _constant(view, snapshot)
    truncation.fill(view, parts, request.max_chars - (0 if since is None else _SLACK))
    if (needed := truncation.size(view)) > request.max_chars:
        view["warnings"] = [*view.get("warnings", ()), f"maxChars: this answer takes at least {needed} characters"]
    return view


def grant(grant: Grant) -> GrantView:
    """Return the view of a standing approval."""
    return GrantView(
        id=grant.id,
        taskId=grant.task_id,
        toolName=grant.tool_name,
        description=grant.description,
        grantedBy=grant.granted_by,
        createdAt=time(grant.created_at),
        expiresAt=time(grant.expires_at),
    )


def _core(snapshot: Snapshot, retention: Retention) -> TaskView:
    """Return the fields that every answer has, whatever its size limit."""
    task = snapshot.task
    view = TaskView(
        id=task.id,
        status=task.status,
        lastEvent=task.last_event,
        error=None,
        startedAt=time_or_none(task.started_at),
        completedAt=time_or_none(task.completed_at),
        updatedAt=time(task.updated_at),
        lastActivityAt=time(task.last_activity_at),
        messageCount=task.message_count,
        result=None,
    )
    if task.error_code:
        view["errorCode"] = task.error_code
    if snapshot.turn.attempt > 1:
        view["attempt"] = snapshot.turn.attempt
        view["attemptReason"] = snapshot.turn.attempt_reason or ""
    if task.blocked_reason:
        view["blockedAt"] = time(task.blocked_at or task.updated_at)
    if task.cancel_requested:
        view["cancelRequested"] = True
    if task.progress is not None:
        view["progress"] = task.progress
    if expires_at := retention.expires_at(task.completed_at):
        view["expiresAt"] = time(expires_at)
    if task.workspace_removed_at is not None:
        view["workspaceRemovedAt"] = time(task.workspace_removed_at)
    return view


def _urgent(view: TaskView, snapshot: Snapshot) -> list[AnswerPart]:
    """Return the error, the waiting calls and the blockers."""
    task = snapshot.task
    parts = _texts(view, ("error", task.error, 4), ("blockedReason", task.blocked_reason, 2))
    waiting = [call for call in snapshot.calls if call.status is CallStatus.AWAITING_APPROVAL]
    if waiting:
        parts.append(call_view.pending(view, waiting))
    if beneath := snapshot.approvals_beneath:
        parts.append(truncation.items(view, "subtasksAwaitingApproval", beneath, "omittedAwaiting", weight=2))
    if snapshot.blocked_by or task.open_dependencies:
        gone = max(task.open_dependencies - len(snapshot.blocked_by), 0)
        parts.append(truncation.items(view, "blockedByTaskIds", snapshot.blocked_by, "omittedBlockers", gone=gone))
    return parts


def _warned(view: TaskView, snapshot: Snapshot, request: GetTask, notes: Sequence[str]) -> list[AnswerPart]:
    """Return the warnings: values that were adjusted, and problems that were left behind."""
    warnings = [*request.warnings, *notes, *snapshot.warnings]
    return [truncation.items(view, "warnings", warnings, "omittedWarnings", narrow=truncation.cut)] if warnings else []


def _reported(view: TaskView, task: Task) -> list[AnswerPart]:
    """Return the reported progress."""
    return _texts(view, ("progressMessage", task.progress_message, 1))


def _output(view: TaskView, snapshot: Snapshot, request: GetTask) -> list[AnswerPart]:
    """Return the output, or what is new of it."""
    task, turn, new_parts = snapshot.task, snapshot.turn, snapshot.new_parts
    output = TurnOutput(snapshot.content, turn.number, is_open=task.status not in ENDED)
    shown = view["output"] = OutputView(content="", updatedAt=time_or_none(snapshot.content_at), toolCalls=[])
    if turn.requests:
        shown["usage"] = UsageView(
            requests=turn.requests, inputTokens=turn.input_tokens, outputTokens=turn.output_tokens
        )
    if task.status is Status.COMPLETED:
        view["result"] = repeated(snapshot.content)
    calls = [call for call in snapshot.calls if new_parts is None or call.id in new_parts.calls]
    thoughts = (
        snapshot.thoughts if new_parts is None else snapshot.thoughts[len(snapshot.thoughts) - new_parts.thoughts :]
    )
    if request.output_cursor is not None:
        parts = [output.piece(shown, output.offset(request.output_cursor))]
    else:
        parts = [output.ends(shown, 0 if new_parts is None else len(snapshot.content) - new_parts.characters)]
    return [*parts, *call_view.made(shown, calls, snapshot.content), *log_view.thoughts(shown, thoughts)]


def _included(view: TaskView, snapshot: Snapshot, request: GetTask) -> list[AnswerPart]:
    """Return the parts that `include` asks for."""
    parts = []
    if "messages" in request.include:
        parts.append(log_view.messages(view, snapshot))
    if "events" in request.include:
        parts.append(log_view.events(view, snapshot, view.get("afterEvent", 0)))
    if snapshot.related:
        parts += graph_view.related(view, snapshot.related)
    return parts


def _constant(view: TaskView, snapshot: Snapshot) -> list[AnswerPart]:
    """Return what a task was created with, or what was changed by a request."""
    task = snapshot.task
    view |= {
        "apiKeyId": task.principal,
        "userId": task.principal,
        "username": task.username,
        "organizationId": ORGANIZATION,
        "sessionId": task.session,
        "conversationId": task.conversation,
        "createdAt": time(task.created_at),
        "agentId": task.agent,
        "title": None,
        "message": "",
        "systemPrompt": None,
        "showInHistory": task.show_in_history,
        "autoExecute": task.auto_execute,
        "env": None,
        "secretNames": [],
        "metadata": None,
        "timeoutSeconds": task.timeout_seconds,
    }
    _add_labels(view, task)
    return [
        *_texts(
            view,
            ("title", task.title, 2),
            ("message", task.message, 3),
            ("systemPrompt", task.system_prompt, 1),
            ("description", task.description, 1),
            ("taskListId", task.task_list, 1),
            ("triggeringAgentId", task.triggering_agent, 1),
            ("assignedAgentId", task.assigned_agent, 1),
            ("internalStatus", task.internal_status, 1),
        ),
        *_objects(view, task),
        *_relations(view, snapshot),
    ]


def _add_labels(view: TaskView, task: Task) -> None:
    """Add the short fields that many tasks do not have."""
    if task.parent is not None:
        view["parentTaskId"] = task.parent
    if task.max_calls is not None:
        view["maxCalls"] = task.max_calls
    if task.source is not None:
        view["sourceNodeType"] = task.source
    if task.sandbox:
        view["sandbox"] = task.sandbox
    _add_demands(view, task.demands)


def _add_demands(view: TaskView, demands: Demands) -> None:
    """Add the short fields of a task's demands."""
    if demands.allow_hooks:
        view["allowHooks"] = True
    if demands.on_interrupt is not None:
        view["onInterrupt"] = demands.on_interrupt
    if demands.approval_timeout_seconds is not None:
        view["approvalTimeoutSeconds"] = demands.approval_timeout_seconds


def _objects(view: TaskView, task: Task) -> list[AnswerPart]:
    asked = task.demands
    given = {"env": task.env, "metadata": task.metadata, "limits": asked.limits, "require": asked.require}
    return [truncation.values(view, name, value) for name, value in given.items() if value is not None]


def _relations(view: TaskView, snapshot: Snapshot) -> list[AnswerPart]:
    task, servers = snapshot.task, snapshot.task.demands.mcp_servers
    parts = []
    if snapshot.secrets:
        parts.append(truncation.items(view, "secretNames", list(snapshot.secrets), "omittedSecretNames"))
    if servers:
        parts.append(truncation.items(view, "mcpServers", list(servers), "omittedMcpServers"))
    if snapshot.dependency_count:
        view["onDependencyFailure"] = task.on_dependency_failure
        gone = snapshot.dependency_count - len(snapshot.depends_on)
        parts.append(truncation.items(view, "dependsOn", snapshot.depends_on, "omittedDependencies", gone=gone))
    return parts


def _texts(view: TaskView, *given: tuple[str, str | None, int]) -> list[AnswerPart]:
    """Return the texts that are not None, each given as (name, text, weight)."""
    return [truncation.text(view, name, text, weight) for name, text, weight in given if text is not None]
