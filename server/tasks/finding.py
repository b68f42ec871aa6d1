"""Lists as they are asked for and shown: which tasks, where to go on, and how much of each."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence, Sized
from typing import cast

from server.errors import Code, RemitError
from server.tasks.listrequests import ListTasks
from server.tasks.text import start, time, time_or_none
from server.tasks.views import PageView, RowView
from storage.filters import Filter, Page, Position, Total
from storage.records import Principal, Row

ORGANIZATION = "local"
"""A server has one: the user of this machine."""

PAGE_BYTES = 19_500
"""What the rows of a page of up to fifty may take, in UTF-8: all of it is 20 KB then, which hosts do not cut."""

ROW_BYTES = 390
"""What a row of a longer page may take on average."""

_WIDTHS = (64, 40, 24)
"""Bytes of each text in a row: the second where there is no room for the first, the last where nothing else helps."""

# What the rows of a page give up, in this order, where there is no room for them; get_task has it.
_DISPENSABLE = (
    "result",
    "description",
    "sourceNodeType",
    "message",  # of those with a title
    "updatedAt",  # the last that is given up before texts become as short as can be
    "triggeringAgentId",
    "internalStatus",
    "omittedBlockers",
    "blockedByTaskIds",
    "assignedAgentId",
    "parentTaskId",
    "taskListId",
    "error",
)

_USUAL = _DISPENSABLE.index("updatedAt") + 1

_PAGING = frozenset({"limit", "offset", "cursor", "page", "per_page", "include_details"})


def concerns(principal: Principal, request: ListTasks) -> bool:
    """Whether the request is for tasks of this principal: nobody sees another's."""
    return request.user_id in (None, principal.id, principal.name)


def wanted(request: ListTasks, asker: int | None = None) -> Filter:
    """What tasks have to be; for the agent of the task with the number `asker`, if it is one that asks."""
    return Filter(
        statuses=request.statuses,
        agent=request.agent_id,
        task_list=request.task_list_id,
        assigned_agent=request.assigned_agent_id,
        triggering_agent=request.triggering_agent_id,
        internal_status=request.internal_status,
        parent=request.parent_task_id,
        created_from=request.from_date,
        created_to=request.to_date,
        words=request.words,
        depends_on=request.depends_on,
        asker=asker,
    )


def stretch(request: ListTasks) -> tuple[int, int]:
    """How many tasks are asked for, and how many others come before them."""
    if request.in_pages:
        return request.page_size, ((request.page or 1) - 1) * request.page_size
    return request.limit, request.offset


def before(request: ListTasks) -> tuple[Position | None, Total | None]:
    """Where the page before ended, and the total it knew.

    Raises RemitError (VALIDATION_ERROR) for a cursor that is not of this list.
    """
    if request.cursor is None:
        return None, None
    try:
        at, seq, count, is_capped, digest = json.loads(base64.urlsafe_b64decode(request.cursor.encode()))
        position, total = Position(int(at), int(seq)), Total(int(count), bool(is_capped))
        if digest == _digest(request, position, total):
            return position, total
    except (binascii.Error, ValueError, TypeError, OverflowError):
        pass
    raise RemitError(
        Code.VALIDATION_ERROR,
        "cursor: it is not one of this list; use nextCursor of its last page, with the same filters",
        field="cursor",
    )


def page(request: ListTasks, principal: Principal, page: Page) -> PageView:
    """The answer to list_tasks."""
    limit, offset = stretch(request)
    rows, gone = _rows(page)
    view = PageView(
        tasks=rows,
        count=len(page.tasks),
        total=page.total,
        limit=limit,
        offset=offset,
        hasMore=page.next is not None,
        userId=principal.id,
        organizationId=ORGANIZATION,
    )
    if page.next is not None:
        view["nextCursor"] = _cursor(request, page.next, Total(page.total, page.total_is_capped))
    if page.total_is_capped:
        view["totalIsCapped"] = True
    if page.partial:
        view["partial"] = True
    if gone:
        view["omittedFields"] = gone
    if request.in_pages:
        view |= {"page": request.page or 1, "perPage": limit, "totalPages": -(-page.total // limit)}
    if request.depends_on is not None:
        view |= {"taskIds": [task.id for task in page.tasks], "dependsOn": request.depends_on}
        if not request.include_details:
            del view["tasks"]
    return view


def _cursor(request: ListTasks, position: Position, total: Total) -> str:
    known = [position.at, position.seq, total.count, total.is_capped, _digest(request, position, total)]
    text = json.dumps(known, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def _digest(request: ListTasks, position: Position, total: Total) -> str:
    """What binds a cursor to its list, so that a wrong one is an error and not a wrong page."""
    asked = request.model_dump(mode="json", exclude=set(_PAGING), exclude_defaults=True)
    known = json.dumps([asked, position.at, position.seq, total.count, total.is_capped], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def _rows(page: Page) -> tuple[list[RowView], list[str]]:
    """As much of each task as the page holds, and the fields for which there was no room."""
    most, usual, least = _WIDTHS
    rows, gone = _trimmed(page, most, ())
    if not fits(rows):
        rows, gone = _trimmed(page, usual, _DISPENSABLE[:_USUAL])
    if not fits(rows):
        rows, gone = _trimmed(page, least, _DISPENSABLE)
    return rows, gone


def _trimmed(page: Page, width: int, fields: Sequence[str]) -> tuple[list[RowView], list[str]]:
    """Rows with texts of so many bytes, without the first of the fields until they fit, and which those are."""
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
    """A row without a field; the one that says what it is about stays."""
    if name == "message" and not view["title"]:
        return view
    return cast("RowView", {key: value for key, value in view.items() if key != name})


def fits(views: Sized) -> bool:
    """Whether the rows of a page, or the nodes of one, are as small as answers have to be."""
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
    """What many tasks do not have."""
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
