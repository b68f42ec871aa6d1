"""Trees of sub-tasks, read page by page, with counts of those left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NotRequired, TypedDict

from server.cli.client import Client
from server.limits import MAX_LIST_PAGE

if TYPE_CHECKING:
    from server.tasks.views.view_models import PageView, RowView


class BranchView(TypedDict):
    """A sub-task with those beneath it.

    `omittedSubtasks` counts those left out; if the server's total is capped, there are more.
    """

    task: RowView
    subtasks: list[BranchView]
    omittedSubtasks: NotRequired[int]


@dataclass(frozen=True, slots=True)
class SubtaskPage:
    """The sub-tasks of one task, the latest first, and the number of those left out."""

    rows: list[RowView]
    omitted: int


def subtasks(client: Client, task_id: str, most: int) -> SubtaskPage:
    """Return the direct sub-tasks of a task, at most `most` of them."""
    rows: list[RowView] = []
    more: dict[str, str] = {}
    while True:
        limit = max(1, min(most - len(rows), MAX_LIST_PAGE))
        page: PageView = client.call("list_tasks", parentTaskId=task_id, limit=limit, **more)
        rows += page["tasks"]
        if "nextCursor" not in page or len(rows) >= most:
            return SubtaskPage(rows[:most], max(page["total"] - len(rows[:most]), 0))
        more = {"cursor": page["nextCursor"]}


def read_tree(client: Client, task_id: str, most: int) -> tuple[list[BranchView], int]:
    """Return the tree beneath a task, the upper levels first, and the number of direct sub-tasks left out.

    The tree has at most `most` tasks in all.
    """
    top: list[BranchView] = []
    omitted = 0
    waiting: deque[tuple[str, BranchView | None]] = deque([(task_id, None)])
    while waiting:
        each, branch = waiting.popleft()
        found = subtasks(client, each, most)
        most -= len(found.rows)
        branches = [BranchView(task=row, subtasks=[]) for row in found.rows]
        waiting += [(new["task"]["id"], new) for new in branches]
        if branch is None:
            top, omitted = branches, found.omitted
            continue
        branch["subtasks"] = branches
        if found.omitted:
            branch["omittedSubtasks"] = found.omitted
    return top, omitted


def nested(ids: list[str], parents: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Yield the ids in their order, each beneath its parent, with its depth; missing parents are added."""
    children: dict[str | None, list[str]] = {}
    for task_id in dict.fromkeys([*ids, *parents.values()]):
        children.setdefault(parents.get(task_id), []).append(task_id)
    waiting = [(task_id, 0) for task_id in reversed(children.get(None, []))]
    while waiting:
        task_id, depth = waiting.pop()
        yield task_id, depth
        waiting += [(child, depth + 1) for child in reversed(children.get(task_id, []))]
