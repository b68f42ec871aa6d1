"""Commands for records: `remit update` and `remit graph`."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from server.cli.client import open_client
from server.cli.console import Screen, one_line
from server.cli.printing import print_answer
from server.limits import SHORT_ID

if TYPE_CHECKING:
    from server.tasks.views.view_models import GraphView


def update(arguments: Namespace) -> int:
    """Run `remit update`: change the given fields, all or nothing."""
    changes = {
        "title": arguments.title,
        "description": arguments.description,
        "taskListId": arguments.list,
        "assignedAgentId": arguments.assigned,
        "status": arguments.status,
        "result": arguments.result,
        "error": arguments.error,
        "blockedReason": arguments.reason,
        "progress": arguments.progress,
        "progressMessage": arguments.message,
        "maxCalls": arguments.max_calls,
    }
    with open_client() as client:
        if arguments.after is not None:
            changes["dependsOn"] = [task_id for task_id in arguments.after if task_id]
        given = {name: value for name, value in changes.items() if value is not None}
        answer = client.call("update_task", id=arguments.id, **given)
    print_answer(arguments, answer, [f"the task is {answer['status']}"])
    return 0


def graph(arguments: Namespace) -> int:
    """Run `remit graph`: list the tasks of a list, oldest first, each with its dependencies."""
    with open_client() as client:
        answer: GraphView = client.call(
            "get_task_graph", taskListId=arguments.list, limit=arguments.limit, offset=arguments.offset
        )
    print_answer(arguments, answer, _lines(arguments, answer))
    return 0


def _lines(arguments: Namespace, answer: GraphView) -> Iterator[str]:
    screen = Screen(sys.stdout)
    if not answer["graph"]:
        yield "no tasks"
    for task_id, node in answer["graph"].items():
        summary = node["summary"]
        after = " ".join(other[:SHORT_ID] for other in node["dependsOn"])
        yield (
            f"{task_id[:SHORT_ID]}  {summary['status']:<17}  {one_line(summary['title'])}"
            + (screen.paint(f"  after {after}", "dim") if after else "")
        )
    if answer["hasMore"]:
        yield f"… {answer['taskCount']} in all; more with --offset {arguments.offset + len(answer['graph'])}"
