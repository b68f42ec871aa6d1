"""Views of the folder that a task works in, and of its worktree."""

from pathlib import Path

from server.runner.git.repository import branch_of
from server.tasks.views import truncation
from server.tasks.views.formatting import time
from server.tasks.views.truncation import AnswerPart
from server.tasks.views.view_models import TaskView, WorkspaceView, WorktreeView
from storage.records.workspaces import Workspace, WorktreeOutcome, WorktreeRecord


def workspace(view: TaskView, task_id: str, workspace: Workspace, folder: str | None) -> list[AnswerPart]:
    """Return the folder of a task; a long diff keeps its two ends, and a long list of files the first ones."""
    shown = view["workspace"] = WorkspaceView(path="", mode=workspace.mode, shared=workspace.shared)
    parts = [truncation.text(shown, "path", workspace.path)]
    if folder is not None and workspace.checkout:
        parts.append(truncation.text(shown, "folder", folder))
    if workspace.repository is not None:
        shown["branch"] = branch_of(task_id)
        shown["baseCommit"] = workspace.repository.base
        parts += _outcome(shown, workspace.outcome)
    elif problem := _problem(workspace.outcome):
        parts.append(truncation.text(shown, "problem", problem, 2))
    return parts


def worktree(record: WorktreeRecord, folder: Path) -> WorktreeView:
    """Return a worktree that exists in `folder`, complete or not."""
    assert record.workspace.repository
    outcome = record.workspace.outcome
    view = WorktreeView(
        taskId=record.task_id,
        path=str(folder),
        repository=record.workspace.repository.git,
        branch=branch_of(record.task_id),
        state=record.workspace.checkout or "open",
        lastActivityAt=time(record.last_activity_at),
    )
    if problem := _problem(outcome):
        view["problem"] = problem
    if outcome.get("files"):
        view["changedFiles"] = list(map(list, outcome["files"]))
    if outcome.get("omitted"):
        view["omittedFiles"] = outcome["omitted"]
    return view


def _problem(outcome: WorktreeOutcome) -> str:
    """Return in one text why something would be lost, and what was disarmed; empty if there is nothing to say."""
    return "; ".join([*([outcome["problem"]] if "problem" in outcome else []), *outcome.get("disarmed", [])])


def _outcome(view: WorkspaceView, outcome: WorktreeOutcome) -> list[AnswerPart]:
    parts = []
    if "carried" in outcome:
        view["carriedCommit"] = outcome["carried"]
    if problem := _problem(outcome):
        parts.append(truncation.text(view, "problem", problem, 2))
    if "head" not in outcome:
        return parts
    view["headCommit"] = outcome["head"]
    view["dirty"] = outcome["dirty"]
    files = [{"path": path, "status": status} for path, status in outcome["files"]]
    parts.append(truncation.items(view, "changedFiles", files, "omittedFiles", weight=2, gone=outcome["omitted"]))
    if "diff" in outcome:
        diff = outcome["diff"] + ("\n[… cut …]\n" if outcome["cut"] else "")
        parts.append(truncation.text(view, "diff", diff, 4))
    return parts
