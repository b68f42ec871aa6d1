"""Commands that create, continue and follow tasks."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from server.cli.client import Client, open_client
from server.cli.command_message import NOBODY, message
from server.cli.follow import Follower
from server.cli.options import given
from server.cli.printing import note, print_answer
from server.errors import Code, RemitError

if TYPE_CHECKING:
    from server.tasks.views.view_models import TaskView

INTERRUPTED = 130  # 128 + SIGINT, as shells have it; also for a task that was cancelled


def run(arguments: Namespace) -> int:
    """Run `remit run`: create a task and follow it; returns its outcome as exit status."""
    fields = given(arguments) | {"workspace": _workspace(arguments)}
    with open_client() as client:
        created = client.call(
            "create_task",
            **fields,
            message=message(arguments.words, arguments.agent or client.call("list_agents")["default"]),
            title=arguments.title,
            agentId=arguments.agent,
            autoExecute=not arguments.ask,
            timeoutSeconds=arguments.timeout,
            taskListId=arguments.list,
            dependsOn=arguments.after,
            parentTaskId=arguments.parent,
            maxCalls=arguments.max_calls,
            approvalTimeoutSeconds=arguments.approval_timeout,
            onInterrupt=arguments.on_interrupt,
        )
        for warning in created["warnings"]:
            note(warning)
        if arguments.detach:
            print_answer(arguments, created, [created["id"]])
            return 0
        note(f"task {created['id']}")
        if arguments.agent == NOBODY:
            note(f"nobody here executes it: `remit update {created['id']} --status completed` reports its end")
        return _follow_to_end(arguments, client, created["id"], after=0)


def _workspace(arguments: Namespace) -> dict[str, Any] | None:
    if arguments.workspace is None:
        if arguments.mode or arguments.shared:
            raise RemitError(Code.VALIDATION_ERROR, "--mode and --shared need --workspace FOLDER")
        return None
    return {"path": arguments.workspace, "mode": arguments.mode, "shared": arguments.shared}


def send(arguments: Namespace) -> int:
    """Run `remit send`: continue a task, and follow it as `run` does."""
    fields = given(arguments)
    with open_client() as client:
        task: TaskView = client.call("get_task", id=arguments.id)
        task_id = task["id"]
        text = message(arguments.words, task["agentId"]) if arguments.words else None
        sent = client.call("send_message", **fields, id=task_id, message=text)
        for warning in sent.get("warnings", []):
            note(warning)
        if arguments.detach:
            print_answer(arguments, sent, [task_id])
            return 0
        return _follow_to_end(arguments, client, task_id, after=task["lastEvent"])


def watch(arguments: Namespace) -> int:
    """Run `remit watch`: follow a task from its start; Ctrl-C leaves the task running."""
    with open_client() as client:
        task_id = client.find(arguments.id)
        return _outcome(arguments, Follower(client, task_id, show=not arguments.json).follow())


def _follow_to_end(arguments: Namespace, client: Client, task_id: str, after: int) -> int:
    follower = Follower(client, task_id, after=after, show=not arguments.json)
    try:
        return _outcome(arguments, follower.follow())
    except KeyboardInterrupt:
        return _cancel(task_id)


def _cancel(task_id: str) -> int:
    """Cancel the task over a new connection: an answer may be on its way on the other one."""
    note("cancelling the task; Ctrl-C again leaves at once")
    with open_client() as client:
        status = client.call("cancel_task", id=task_id)["status"]
        _print_problem(client.call("get_task", id=task_id))
    note(f"the task is {status}")
    return INTERRUPTED


def _outcome(arguments: Namespace, task: TaskView) -> int:
    """Print how the task ended; returns the exit status."""
    if arguments.json:
        print(json.dumps(task, indent=2))
    _print_problem(task)
    match task["status"]:
        case "completed":
            note("completed")
            return 0
        case "cancelled":
            note("cancelled")
            return INTERRUPTED
        case _:
            # The last lines of output that come with the message have been shown already.
            first_line = (task["error"] or "").partition("\n")[0].removesuffix("; last lines:")
            note(f"failed, {task.get('errorCode')}: {first_line}")
            return _exit_status(task)


def _print_problem(task: TaskView) -> None:
    """Print what is amiss in the folder that the task worked in, such as files that were set aside there."""
    if problem := task.get("workspace", {}).get("problem"):
        note(problem)


def _exit_status(task: TaskView) -> int:
    """Return the exit status of the command that failed, else 1."""
    failed = [call.get("exitStatus") for call in task["output"]["toolCalls"] if call["status"] == "error"]
    return next((status for status in failed if status), 1)
