"""The complete output of a task, read page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.cli.client import Client
from server.limits import MAX_ANSWER
from storage.records.states import ENDED

if TYPE_CHECKING:
    from server.tasks.views.view_models import TaskView


def whole(client: Client, task_id: str, *include: str) -> TaskView:
    """Return a task with all of its output; other parts may be cut to fit one answer. Raises RemitError."""
    task: TaskView = client.call("get_task", id=task_id, maxChars=MAX_ANSWER, include=list(include))
    output = task.get("output")
    if output is None or task["status"] not in ENDED:
        return task
    if "nextCursor" in output:
        output["content"] = _read(client, task_id, output.pop("nextCursor").partition(":")[0] + ":0")
    messages = task.get("messages", [])
    if messages and messages[-1]["role"] == "assistant" and "taskId" not in messages[-1]:
        messages[-1]["content"] = output["content"]  # the same text, which was shown there in short
    return task


def _read(client: Client, task_id: str, cursor: str | None) -> str:
    pieces = []
    while cursor is not None:
        output = client.call("get_task", id=task_id, maxChars=MAX_ANSWER, outputCursor=cursor)["output"]
        pieces.append(output["content"])
        cursor = output.get("nextCursor")
    return "".join(pieces)
