"""Text of tool results for models and people: a few short lines, and a task's own output in separate blocks.

Every function takes the answer and its request, and returns blocks of text. Text from tasks is within one of remit's
lines, its control characters escaped, so that it cannot pose as another line, or it is in a block of its own.
"""

from collections.abc import Iterable, Sequence

from server.limits import PATH_MAX
from server.tasks.requests import pruning, request_models
from server.tasks.requests.listing import ListTasks
from server.tasks.views import pending_approval, view_models
from server.tasks.views.formatting import one_line
from storage.records.tasks import NOBODY

_MOST_IDS = 20
"""Ids named in one sentence."""

_WIDTH = 100
"""Characters of a task's text shown on a line of a list."""


_ROW = 60
"""The same in a list of tasks, of which fifty are to take 12 KB at most."""


def created(view: view_models.CreatedView, request: request_models.CreateTask) -> list[str]:
    """Describe a new task, and the next step."""
    nobody = "Nobody here executes it: whoever does it reports with update_task."
    next_step = nobody if request.agent_id == NOBODY else "get_task with waitSeconds waits for its end."
    return [_lines([f"Task {view['id']} is {view['status']}. {next_step}", *_warnings(view["warnings"])])]


def page(view: view_models.PageView, _: ListTasks) -> list[str]:
    """List tasks, one per line: id, status, last activity and title."""
    rows = [_row(row) for row in view["tasks"]] if "tasks" in view else view.get("taskIds", [])
    total = f"{view['total']}{' or more' if view.get('totalIsCapped') else ''}"
    head = f"{view['count']} of {total} tasks."
    if view.get("partial"):
        head += " The search is not finished: go on with the cursor."
    if "nextCursor" in view:
        head += f" More with cursor {view['nextCursor']}"
    elif view["hasMore"]:
        head += " There are more."
    return [_lines([head, *rows])]


def approved(view: view_models.ApprovedView, request: request_models.ApproveToolCall) -> list[str]:
    """Describe the result of a decision."""
    decided = "approved" if view["approved"] else "refused"
    return [f"The call {request.call_id} is {decided}; the task is {view['status']}."]


def status(view: view_models.StatusView, _: object) -> list[str]:
    """Describe a task's status after an operation."""
    stopping = " It is being stopped." if view.get("cancelRequested") else ""
    return [_lines([f"Task {view['id']} is {view['status']}.{stopping}", *_warnings(view.get("warnings", []))])]


def deleted(view: view_models.DeletedView, _: request_models.DeleteTask) -> list[str]:
    """List the deleted tasks."""
    return [f"Deleted: {_named(view['deletedTaskIds'], view['deletedCount'])}."]


def graph(view: view_models.GraphView, request: request_models.GetTaskGraph) -> list[str]:
    """List the tasks of a graph, one per line, with their dependencies."""
    capped = " or more" if view.get("taskCountIsCapped") else ""
    more = f" More with offset {request.offset + len(view['graph'])}." if view["hasMore"] else ""
    head = f"{len(view['graph'])} of {view['taskCount']}{capped} tasks.{more}"
    return [_lines([head, *(_node(task_id, node) for task_id, node in view["graph"].items())])]


def artifacts(view: view_models.ArtifactsView, request: request_models.ReadArtifacts) -> list[str]:
    """List the files, one per line; or describe one file, with the requested piece in a block of its own."""
    more = f" More from offset {view['nextOffset']} on." if "nextOffset" in view else ""
    notes = [f"Not masked, since their values are gone: {', '.join(view['notMasked'])}"] if "notMasked" in view else []
    if "files" in view:
        partial = " There are more files than are looked at." if view.get("partial") else ""
        head = f"{len(view['files'])} of {view['total']} files.{partial}{more}"
        files = [f"{file['size']} B  {one_line(file['path'], PATH_MAX)}" for file in view["files"]]
        return [_lines([head, *notes, *files])]
    form = "in base64" if "base64" in view else "as text"
    path = one_line(request.path or "", _WIDTH)
    head = f"{path}: {view['size']} bytes, {view['mimeType']}, from byte {request.offset} on {form}.{more}"
    return [_lines([head, *notes]), view.get("text", view.get("base64", ""))]


def agents(view: view_models.AgentsView, _: request_models.ListAgents) -> list[str]:
    """List the agents, one per line, and the sandbox they run in."""
    who = "a person at a terminal" if view["approvals"] == "person" else "whoever may call the tool"
    if view["always"] != view["approvals"]:
        who += ", proceed_always by a person at a terminal"
    lines = [_agent(agent, view["default"]) for agent in view["agents"]]
    lines.append(f"Sandbox: {view['sandbox']}. Approvals: {who}.")
    if names := view["settingsNotInForce"]:
        lines.append(f"Settings of this window that are not in force, since the server has others: {', '.join(names)}")
    lines += [f"Not held: {gap}" for gap in view["notHeld"]]
    for title, names in (("Secrets by name", view["secretNames"]), ("MCP servers", view["mcpServers"])):
        if names:
            lines.append(f"{title}: {', '.join(names)}")
    return [_lines(lines)]


def worktrees(view: view_models.WorktreesView, _: request_models.ListWorktrees) -> list[str]:
    """List the worktrees, one per line."""
    lines = [f"{each['taskId']}  {each['state']}  {one_line(each['path'], PATH_MAX)}" for each in view["worktrees"]]
    return [_lines([f"{len(lines)} worktrees.", *lines])]


def pruned(view: view_models.PrunedView, _: pruning.PruneWorktrees) -> list[str]:
    """List the removed worktrees, and why others were kept."""
    gone = view["prunedTaskIds"]
    return [_lines([f"Removed: {_named(gone, len(gone))}.", *view["kept"]])]


def pruned_tasks(view: view_models.PrunedTasksView, _: pruning.PruneTasks) -> list[str]:
    """State how many tasks were removed."""
    return [f"Removed {view['removedCount']} tasks."]


def grants(view: pending_approval.GrantsView, _: request_models.ListGrants) -> list[str]:
    """List the grants, one per line."""
    lines = [f"{each['id']}  {one_line(each['description'], _WIDTH)}" for each in view["grants"]]
    return [_lines([f"{len(lines)} grants.", *lines])]


def revoked(view: pending_approval.RevokedView, _: request_models.RevokeGrant) -> list[str]:
    """Name the revoked grant."""
    return [f"Revoked {view['id']}."]


def _row(row: view_models.RowView) -> str:
    count = row.get("pendingApprovalCount", 0)
    waiting = f", {count} call{'s' if count > 1 else ''} to decide" if count else ""
    reason = f": {one_line(row['error'], _ROW)}" if "error" in row else ""
    said = one_line(row["title"] or row.get("message", ""), _ROW)
    return f"{row['id']}  {row['status']}{waiting}{reason}  {row['lastActivityAt']}  {said}"


def _node(task_id: str, node: view_models.NodeView) -> str:
    needs = node["dependsOn"]
    after = f"  after {_named(needs, len(needs) + node.get('omittedDependencies', 0))}" if needs else ""
    return f"{task_id}  {node['summary']['status']}  {one_line(node['summary']['title'], _WIDTH)}{after}"


def _agent(agent: view_models.AgentView, default: str) -> str:
    name = f"{agent['id']} (default)" if agent["id"] == default else agent["id"]
    needs = "" if agent["ready"] else f" Not ready: {agent.get('needs', 'not said why')}"
    return f"{name}: {' '.join((agent['description'], *agent.get('notes', ())))}{needs}"


def _named(ids: Sequence[str], count: int) -> str:
    others = count - len(ids[:_MOST_IDS])
    return f"{', '.join(ids[:_MOST_IDS]) or 'none'}{f' and {others} more' if others else ''}"


def _warnings(warnings: Iterable[str]) -> list[str]:
    return [f"Warning: {one_line(warning, 1000)}" for warning in warnings]


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)
