"""Commands that list, show, cancel and delete tasks, and list agents."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from server.cli.client import Client, open_client
from server.cli.console import Screen, Style, age, clipped, framed, harmless, one_line, width
from server.cli.printing import print_answer
from server.cli.subtask_tree import BranchView, nested, read_tree
from server.cli.whole_output import whole
from server.limits import MAX_ANSWER, SHORT_ID
from storage.records.states import ENDED

if TYPE_CHECKING:
    from server.tasks.views.view_models import AgentsView, EventView, PageView, RowView, TaskView, ToolCallView

MOST_SUBTASKS = 100  # that `remit show` shows, on all levels
LONGEST_STATUS = len("awaiting_approval")
INDENT = "  "  # of each level of sub-tasks

_STYLES: dict[str, Style] = {
    "completed": "green",
    "failed": "red",
    "cancelled": "dim",
    "awaiting_approval": "yellow",
    "blocked": "yellow",
    "paused": "yellow",
}


def tasks(arguments: Namespace) -> int:
    """Run `remit list`: print a page of tasks, most recently active first."""
    with open_client() as client:
        page: PageView = client.call(
            "list_tasks",
            limit=arguments.limit,
            offset=arguments.offset,
            status=",".join(arguments.status),
            taskListId=arguments.list,
            parentTaskId=arguments.parent,
            assignedAgentId=arguments.assigned,
            query=arguments.query,
        )
        parents = _parents(client, page) if arguments.tree else None
    print_answer(arguments, page, _table(page, parents))
    return 0


def show(arguments: Namespace) -> int:
    """Run `remit show`: print one task with its related data."""
    with open_client() as client:
        include = ["messages", "events"] if arguments.events else ["messages"]
        task = whole(client, arguments.id, *include)
        if arguments.events:
            _add_events(client, task)
        branches, omitted = read_tree(client, task["id"], MOST_SUBTASKS)
    answer = {**task, "subtasks": branches, **({"omittedSubtasks": omitted} if omitted else {})}
    print_answer(arguments, answer, [*_details(task), *_family(branches, omitted)])
    return 0


def agents(arguments: Namespace) -> int:
    """Run `remit agents`: list the agents, and what the sandbox enforces."""
    with open_client() as client:
        answer: AgentsView = client.call("list_agents")
    print_answer(arguments, answer, _agent_lines(answer))
    return 0


def cancel(arguments: Namespace) -> int:
    """Run `remit cancel`: end a task, its sub-tasks and all their processes."""
    with open_client() as client:
        answer = client.call("cancel_task", id=arguments.id)
    print_answer(arguments, answer, [f"the task is {answer['status']}"])
    return 0


def delete(arguments: Namespace) -> int:
    """Run `remit delete`: remove a task for good."""
    with open_client() as client:
        answer = client.call("delete_task", id=arguments.id, cascade=arguments.cascade)
    print_answer(arguments, answer, [f"deleted {task_id}" for task_id in answer["deletedTaskIds"]])
    return 0


def _add_events(client: Client, task: TaskView) -> None:
    """Add the events that did not fit into the first answer."""
    events = task["events"]
    while events and events[-1]["number"] < task["lastEvent"]:
        after = events[-1]["number"]
        more = client.call("get_task", id=task["id"], include=["events"], afterEvent=after, maxChars=MAX_ANSWER)
        if not more["events"]:  # the log was removed meanwhile
            break
        events += more["events"]


def _parents(client: Client, page: PageView) -> dict[str, str]:
    """Return the parents of a page's sub-tasks; the rows of a page that was too large may lack theirs."""
    parents: dict[str, str] = {}
    are_shown = "parentTaskId" not in page.get("omittedFields", [])
    for row in page["tasks"]:
        known = row if are_shown else client.call("get_task", id=row["id"])
        if parent := known.get("parentTaskId"):
            parents[row["id"]] = parent
    return parents


def _table(page: PageView, parents: dict[str, str] | None) -> Iterator[str]:
    screen = Screen(sys.stdout)
    if not page["tasks"]:
        yield "no tasks" if not page["total"] else f"no tasks from number {page['offset'] + 1} on"
    rows = {row["id"]: row for row in page["tasks"]}
    for task_id, depth in nested(list(rows), parents or {}):
        row = rows.get(task_id)
        yield _row(screen, row, depth) if row else f"{task_id[:SHORT_ID]}  {screen.paint('(not on this page)', 'dim')}"
    if page["hasMore"]:
        total = f"{page['total']}{' or more' if page.get('totalIsCapped') else ''}"
        yield f"… {total} in all; more with --offset {page['offset'] + page['count']}"


def _row(screen: Screen, row: RowView, depth: int) -> str:
    waiting = f"!{row['pendingApprovalCount']}" if "pendingApprovalCount" in row else ""
    before, status, after = (
        f"{row['id'][:SHORT_ID]}  ",
        f"{row['status']:<{LONGEST_STATUS}}",
        f"  {age(row['lastActivityAt']):>4}  {waiting:<3} {INDENT * depth}",
    )
    text = one_line(row["title"] or row.get("message", ""))
    if screen.is_terminal:
        text = clipped(text, max(width() - len(before + status + after), 20))
    return before + screen.paint(status, _STYLES.get(row["status"], "bold")) + after + text


def _family(branches: list[BranchView], omitted: int) -> Iterator[str]:
    screen = Screen(sys.stdout)
    if branches:
        yield screen.paint("sub-tasks", "bold")
        yield from _branch_lines(screen, branches, omitted, depth=1)


def _branch_lines(screen: Screen, branches: list[BranchView], omitted: int, depth: int) -> Iterator[str]:
    for branch in branches:
        row = branch["task"]
        status = screen.paint(f"{row['status']:<{LONGEST_STATUS}}", _STYLES.get(row["status"], "bold"))
        progress = f"{row['progress']:.0%}" if "progress" in row else ""
        waiting = f"!{row['pendingApprovalCount']}" if "pendingApprovalCount" in row else ""
        text = f"{row['agentId']:<8} {progress:<4} {waiting:<3} {one_line(row['title'] or row['message'])}"
        yield f"{INDENT * depth}{row['id'][:SHORT_ID]}  {status}  {text}"
        yield from _branch_lines(screen, branch["subtasks"], branch.get("omittedSubtasks", 0), depth + 1)
    if omitted:
        yield f"{INDENT * depth}… {omitted} more"


def _details(task: TaskView) -> Iterator[str]:
    screen = Screen(sys.stdout)
    yield screen.paint(f"task {task['id']}", "bold")
    for name, value in _facts(task):
        yield f"  {name:<12}{one_line(value)}"
    for message in task["messages"]:
        yield screen.paint(f"{'asked' if message['role'] == 'user' else 'answered'}, {message['createdAt']}", "bold")
        yield from framed(message["content"].removesuffix("\n"))
    if "output" in task:
        yield screen.paint("calls of the latest turn", "bold")
        yield from map(_call_line, task["output"]["toolCalls"])
        if task["status"] not in ENDED:  # of an ended one it is the answer above
            yield screen.paint("output so far", "bold")
            yield from framed(task["output"]["content"].removesuffix("\n"))
    if "events" in task:
        yield screen.paint("events", "bold")
        if "omittedEvents" in task:
            yield f"  the first {task['omittedEvents']} are not kept any more"
        yield from map(_event_line, task["events"])


def _facts(task: TaskView) -> Iterator[tuple[str, str]]:
    yield "status", task["status"] + (f" ({task['blockedReason']})" if "blockedReason" in task else "")
    if task["error"]:
        yield "error", f"{task.get('errorCode')}: {task['error']}"
    if "attempt" in task:
        yield "attempt", f"{task['attempt']}, since {task['attemptReason']}"
    if task["title"]:
        yield "title", task["title"]
    yield from _relations(task)
    yield "agent", task["agentId"] + ("" if task["autoExecute"] else ", asks before each call")
    if "sandbox" in task:
        yield "sandbox", task["sandbox"]
    yield from _workspace(task)
    for name, value in (*task.get("limits", {}).items(), *task.get("require", {}).items()):
        yield "demands", f"{name}={value}"
    if "onInterrupt" in task:
        yield "interrupted", f"it is to {task['onInterrupt']}"
    if "approvalTimeoutSeconds" in task:
        yield "approvals", f"expire after {task['approvalTimeoutSeconds']} s"
    yield "created", f"{task['createdAt']} by {task['username']}"
    if task["startedAt"]:
        yield "started", task["startedAt"]
    if task["completedAt"]:
        yield "ended", task["completedAt"]
    if "expiresAt" in task:
        yield "kept", f"until {task['expiresAt']} at least"
    if "workspaceRemovedAt" in task:
        yield "folder", f"removed {task['workspaceRemovedAt']}"
    for name, value in (task["env"] or {}).items():
        yield "env", f"{name}={value}"
    if task["secretNames"]:
        yield "secrets", ", ".join(task["secretNames"])
    for call in task.get("pendingApprovals", []):
        yield "waits", call["call"]
        yield "", f"remit approve {task['id']} {call['callId']}"


def _workspace(task: TaskView) -> Iterator[tuple[str, str]]:
    if "workspace" not in task:
        return
    workspace = task["workspace"]
    yield "works in", f"{workspace['path']}, {workspace['mode']}{', shared' if workspace['shared'] else ''}"
    if "folder" in workspace:
        yield "worktree", workspace["folder"] + (", uncommitted changes" if workspace.get("dirty") else "")
    if "branch" in workspace:
        yield "branch", f"{workspace['branch']} at {workspace.get('carriedCommit', workspace['baseCommit'])}"
    for file in workspace.get("changedFiles", []):
        yield file["status"], file["path"]
    if "omittedFiles" in workspace:
        yield "…", f"{workspace['omittedFiles']} more changed files"
    if "problem" in workspace:
        yield "problem", workspace["problem"]


def _relations(task: TaskView) -> Iterator[tuple[str, str]]:
    """Yield the fields that many tasks do not have."""
    if "description" in task:
        yield "about", task["description"]
    if "taskListId" in task:
        yield "list", task["taskListId"]
    if "parentTaskId" in task:
        yield "part of", task["parentTaskId"]
    if "assignedAgentId" in task:
        yield "assigned to", task["assignedAgentId"]
    if "progress" in task or "progressMessage" in task:
        yield "progress", f"{task.get('progress', 0):.0%} {task.get('progressMessage', '')}".strip()
    waits_for = task.get("blockedByTaskIds", [])
    for task_id in task.get("dependsOn", []):
        yield "depends on", task_id + (" (waits for it)" if task_id in waits_for else "")


def _call_line(call: ToolCallView) -> str:
    ended = f", status {call['exitStatus']}" if "exitStatus" in call else ""
    decided = f", {call.get('outcome')} by {call['decidedBy']}" if "decidedBy" in call else ""
    reason = f" ({call['reason']})" if "reason" in call else ""
    state = f"{call['callId']}: {call['status']}{ended}{decided}{reason}"
    return f"  {one_line(state)}  {one_line(call['description'])}"


def _event_line(event: EventView) -> str:
    data = json.dumps(event["data"], ensure_ascii=False)
    return f"  {event['number']:>5}  {event['at']}  {event['type']:<12}{harmless(data)}"


def _agent_lines(answer: AgentsView) -> Iterator[str]:
    for agent in answer["agents"]:
        ready = "ready" if agent["ready"] else f"not ready: {one_line(agent.get('needs', ''))}"
        version = f" {one_line(agent['version'])}" if "version" in agent else ""
        yield f"{one_line(agent['id'])}{version} ({ready})"
        for line in (agent["description"], *agent.get("notes", ())):
            yield f"  {one_line(line)}"
    yield f"default, for a task that names no agent: {one_line(answer['default'])}"
    who = "a person at a terminal" if answer["approvals"] == "person" else "whoever may call the tool"
    if answer["always"] != answer["approvals"]:
        who += ", always by a person at a terminal"
    yield f"sandbox: {answer['sandbox']}; approvals: {who}"
    for gap in answer["notHeld"]:
        yield f"  does not hold: {gap}"
    if answer["secretNames"]:
        yield f"secrets by name: {', '.join(answer['secretNames'])}"
    if answer["mcpServers"]:
        yield f"MCP servers: {', '.join(answer['mcpServers'])}"
