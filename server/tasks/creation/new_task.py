"""The record of a new task, made from a checked request."""

from uuid import uuid4

from server.config import Settings
from server.tasks import validation
from server.tasks.callers import Caller
from server.tasks.creation.assignment import Assignment
from server.tasks.requests.request_models import CreateTask
from server.tasks.sessions import session_end, time_ordered_id
from storage.records.tasks import NestingLimits, NewTask
from storage.times import now


def new_task(
    caller: Caller, request: CreateTask, asked: Assignment, settings: Settings, *, digest: str, tier: str | None
) -> NewTask:
    """Return the record of a task, but for its folder and files; `digest` is the request's idempotency digest."""
    at = now()
    subtasks = settings.subtasks
    return NewTask(
        id=str(uuid4()),
        agent=request.agent_id,
        message=request.message,
        title=request.title,
        description=request.description,
        system_prompt=request.system_prompt,
        show_in_history=request.show_in_history,
        auto_execute=request.auto_execute,
        env=request.env or None,
        secrets=validation.origins(asked.literals, asked.names),
        metadata=request.metadata,
        demands=validation.demands(request),
        sandbox=tier,
        timeout_seconds=request.timeout_seconds or settings.timeout,
        max_calls=request.max_calls,
        idempotency_key=request.idempotency_key,
        request_digest=digest,
        conversation=request.conversation_id or time_ordered_id(at),
        joins=request.conversation_id is not None,
        session=time_ordered_id(at),
        session_expires_at=session_end(settings),
        task_list=request.task_list_id,
        depends_on=request.depends_on,
        on_dependency_failure=request.on_dependency_failure,
        parent=request.parent_task_id,
        triggering_agent=request.triggering_agent_id,
        assigned_agent=request.assigned_agent_id,
        source=caller.source,
        nesting=NestingLimits(subtasks.depth, subtasks.count),
    )
