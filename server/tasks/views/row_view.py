"""Rows of a task list, shortened so that no host cuts the answer."""

import json
from collections.abc import Sequence, Set, Sized
from typing import cast

from server.tasks.views.formatting import start, time, time_or_none
from server.tasks.views.view_models import RowView
from storage.records.lists import Page
from storage.records.tasks import Row

PAGE_BYTES = 19_500
"""Bytes of UTF-8 in which the rows of a page of up to fifty find room: all of it is 20 KB then, which hosts do not cut.

Fields that a source API names stay where that takes more: 34 KB if all of fifty rows have all that a task can have.
"""

ROW_BYTES = 390
"""Bytes that a row of a longer page may take on average."""

_WIDTHS = (64, 40, 20, 12)
"""Bytes of each text in a row: the first for which there is room, or the last."""

# What the rows of a page give up, in this order, where there is no room for it; get_task has it.
_DISPENSABLE = (
    "result",
    "description",
    "sourceNodeType",
    "conversationId",
    "username",
    "messageCount",
    "completedAt",
    "startedAt",
    "updatedAt",
    "message",  # of those with a title
    "triggeringAgentId",
    "internalStatus",
    "omittedBlockers",
    "blockedByTaskIds",
    "assignedAgentId",
    "parentTaskId",
    "taskListId",
    "progress",
    "blockedReason",
    "error",
)


def shown(page: Page, named: Set[str]) -> tuple[list[RowView], list[str]]:
    """Return the rows of a page, and the fields for which there was no room; the named ones always stay."""
    dispensable = [name for name in _DISPENSABLE if name not in named]
    most, *fewer = _WIDTHS
    rows, gone = _trimmed(page, most, ())
    for width in fewer:
        if fits(rows):
            break
        rows, gone = _trimmed(page, width, dispensable)
    return rows, gone


def _trimmed(page: Page, width: int, fields: Sequence[str]) -> tuple[list[RowView], list[str]]:
    """Return rows with texts of `width` bytes, and the names of the fields removed, in order, until the rows fit."""
    rows = [_row(page, task, width) for task in page.tasks]
    gone: list[str] = []
    for name in fields:
        if fits(rows):
            break
        without = [_without(row, name) for row in rows]
        gone += [name] if without != rows else []
        rows = without
    return rows, gone


def _without(view: RowView, name: str) -> RowView:
    """Return a row without a field; a row without a title keeps its message."""
    if name == "message" and not view["title"]:
        return view
    return cast("RowView", {key: value for key, value in view.items() if key != name})


def fits(views: Sized) -> bool:
    """Return whether a page's rows or nodes are within the limits of size."""
    size = len(json.dumps(views, ensure_ascii=False, separators=(",", ":")).encode())
    return size <= max(PAGE_BYTES, ROW_BYTES * len(views))


def _row(page: Page, task: Row, width: int) -> RowView:
    view = RowView(
        id=task.id,
        title=task.title and start(task.title, width),
        status=task.status,
        message=start(task.message, width),
        agentId=task.agent,
        username=task.username,
        conversationId=task.conversation,
        createdAt=time(task.created_at),
        startedAt=time_or_none(task.started_at),
        completedAt=time_or_none(task.completed_at),
        updatedAt=time(task.updated_at),
        lastActivityAt=time(task.last_activity_at),
        messageCount=task.message_count,
    )
    _add_texts(view, task, width)
    if task.parent is not None:
        view["parentTaskId"] = task.parent
    if task.progress is not None:
        view["progress"] = task.progress
    if not task.show_in_history:
        view["showInHistory"] = False
    if not task.auto_execute:
        view["autoExecute"] = False
    if blockers := page.blocked_by.get(task.seq):
        view["blockedByTaskIds"] = blockers
        if (omitted := task.open_dependencies - len(blockers)) > 0:
            view["omittedBlockers"] = omitted
    if waiting := page.waiting.get(task.seq):
        view["pendingApprovalCount"] = waiting
    return view


def _add_texts(view: RowView, task: Row, width: int) -> None:
    """Add the texts that many tasks do not have."""
    if task.description:
        view["description"] = start(task.description, width)
    if task.task_list:
        view["taskListId"] = start(task.task_list, width)
    if task.assigned_agent:
        view["assignedAgentId"] = start(task.assigned_agent, width)
    if task.triggering_agent:
        view["triggeringAgentId"] = start(task.triggering_agent, width)
    if task.internal_status:
        view["internalStatus"] = start(task.internal_status, width)
    if task.source:
        view["sourceNodeType"] = task.source
    if task.blocked_reason:
        view["blockedReason"] = start(task.blocked_reason, width)
    if task.error:
        view["error"] = start(task.error, width)
    if task.result:
        view["result"] = start(task.result, width)
