"""View of a page of tasks: its filter, paging and cursor."""

import base64
import binascii
import hashlib
import json

from server.errors import Code, RemitError
from server.tasks.requests.listing import ListTasks
from server.tasks.views.row_view import shown
from server.tasks.views.view_models import PageView
from storage.records.lists import Filter, Page, Position, Total
from storage.records.tasks import Principal

ORGANIZATION = "local"
"""A server has one: the user of this machine."""

_PAGING = frozenset({"limit", "offset", "cursor", "page", "per_page", "include_details"})

# What each of the three source APIs has in its rows, beyond the fields that rows always have.
_OF_A_USERS_LIST = frozenset(
    {
        "username",
        "conversationId",
        "startedAt",
        "completedAt",
        "messageCount",
        "error",
    }
)
_OF_NUMBERED_PAGES = frozenset({"updatedAt", "sourceNodeType", "result", "parentTaskId", "triggeringAgentId"})
_OF_A_TASK_LIST = frozenset(
    {
        "description",
        "updatedAt",
        "taskListId",
        "assignedAgentId",
        "progress",
        "blockedReason",
        "blockedByTaskIds",
    }
)


def concerns(principal: Principal, request: ListTasks) -> bool:
    """Return whether the request is for tasks of this principal: nobody sees another's."""
    return request.user_id in (None, principal.id, principal.name)


def wanted(request: ListTasks, asker: int | None = None) -> Filter:
    """Return the store's filter; `asker` is the number of the task whose agent asks, if one does."""
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
    """Return the limit and the offset of the page."""
    if request.in_pages:
        return request.page_size, ((request.page or 1) - 1) * request.page_size
    return request.limit, request.offset


def before(request: ListTasks) -> tuple[Position | None, Total | None]:
    """Return the position at which the page before ended, and the total it knew.

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
    """Return the answer to list_tasks."""
    limit, offset = stretch(request)
    rows, gone = shown(page, _named(request))
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
    """Return the digest that binds a cursor to its list, so that a cursor of another list is refused."""
    asked = request.model_dump(mode="json", exclude=set(_PAGING), exclude_defaults=True)
    known = json.dumps([asked, position.at, position.seq, total.count, total.is_capped], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def _named(request: ListTasks) -> frozenset[str]:
    """Return the fields of the source API whose way of asking this is: its rows always have them."""
    if request.in_pages:
        return _OF_NUMBERED_PAGES
    if request.depends_on or request.task_list_id or request.assigned_agent_id:
        return _OF_A_TASK_LIST
    return _OF_A_USERS_LIST
