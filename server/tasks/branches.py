"""What a user is shown of the folder that a task works in, and of what has come of its worktree."""

from pathlib import Path

from server.runner.repository import branch_of
from server.tasks.text import cut, time
from server.tasks.views import WorkspaceView, WorktreeView
from storage.workspace import Workspace, Worktree


def workspace(task_id: str, workspace: Workspace, max_chars: int) -> WorkspaceView:
    """The folder of a task; of a long diff the two ends, and of many changed files the first."""
    view = WorkspaceView(path=workspace.path, mode=workspace.mode, shared=workspace.shared)
    if workspace.repository is not None:
        view["branch"] = branch_of(task_id)
        view["baseCommit"] = workspace.repository["base"]
        _add_outcome(view, workspace, max_chars)
    return view


def worktree(record: Worktree, folder: Path) -> WorktreeView:
    """A worktree that is there, or half there, in `folder`."""
    assert record.workspace.repository
    outcome = record.workspace.outcome or {}
    view = WorktreeView(
        taskId=record.task_id,
        path=str(folder),
        repository=record.workspace.repository["git"],
        branch=branch_of(record.task_id),
        state=record.workspace.checkout or "open",
        lastActivityAt=time(record.last_activity_at),
    )
    if "problem" in outcome:
        view["problem"] = outcome["problem"]
    if outcome.get("files"):
        view["changedFiles"] = outcome["files"]
    if outcome.get("omitted"):
        view["omittedFiles"] = outcome["omitted"]
    return view


def _add_outcome(view: WorkspaceView, workspace: Workspace, max_chars: int) -> None:
    outcome = workspace.outcome or {}
    if "carried" in outcome:
        view["carriedCommit"] = outcome["carried"]
    if "problem" in outcome:
        view["problem"] = cut(outcome["problem"], max_chars)
    if "head" not in outcome:
        return
    view["headCommit"] = outcome["head"]
    view["dirty"] = outcome["dirty"]
    left = max_chars
    files = view["changedFiles"] = []
    for path, status in outcome["files"]:
        left -= len(path) + len(status)
        if left < 0:
            break
        files.append({"path": path, "status": status})
    if omitted := outcome["omitted"] + len(outcome["files"]) - len(files):
        view["omittedFiles"] = omitted
    if "diff" in outcome:
        view["diff"] = cut(outcome["diff"], max_chars) + ("\n[… cut …]\n" if outcome["cut"] else "")
