"""Where the commands of a task work: a folder of its own, a worktree, or a folder of somebody else's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from server.errors import Code, RemitError
from server.runner.git.repository import Repository
from server.runner.workspace.delivery import UPLOADS
from server.runner.worktrees.worktree import tree_of
from storage.records.workspaces import Workspace

UPLOADS_VARIABLE = "TASK_UPLOADS"
"""Where a task that works in a folder of the user's finds its uploads."""


@dataclass(frozen=True, slots=True)
class WorkingDirectory:
    """Where the commands of a task work, and what else of its files they see."""

    workspace: Path
    folder: Path
    access: Literal["read-write", "read-only"] = "read-write"
    owner: Literal["task", "user"] = "task"
    readable: tuple[Path, ...] = ()
    pinned: tuple[Path, ...] = ()
    """Those of these that are somebody else's, whom other tasks may work for, too."""

    @property
    def variables(self) -> dict[str, str]:
        """What commands are told of it."""
        return {UPLOADS_VARIABLE: str(self.readable[0])} if self.readable else {}


def top_folder(workspace: Workspace | None, own: Path) -> Path:
    """The folder at the top of what a task works in, whose own folder is `own`."""
    if workspace is None:
        return own
    return Path(workspace.path) if workspace.repository is None else tree_of(own)


def working_directory(workspace: Workspace | None, own: Path) -> WorkingDirectory:
    """Where the commands of a task work, whose own folder is `own`.

    Raises RemitError (EXECUTION_ERROR) for a folder of somebody else's that is gone, or leads elsewhere by now.
    """
    if workspace is None:
        return WorkingDirectory(own, own)
    uploads = own / UPLOADS
    if workspace.repository is not None:
        repository = Repository.of_json(workspace.repository)
        repository.check_place()
        tree, objects = top_folder(workspace, own), tuple(map(Path, repository.objects))
        return WorkingDirectory(tree, tree / repository.inside, readable=(uploads, *objects), pinned=objects)
    path = top_folder(workspace, own)
    if not path.is_dir() or path.resolve() != path:
        raise RemitError(Code.EXECUTION_ERROR, f"workspace: the folder {path} is gone, or leads elsewhere by now")
    reaches = tuple(Path(folder) for folder in workspace.reaches if folder != workspace.path)
    return WorkingDirectory(
        path,
        path,
        access="read-only" if workspace.mode == "readonly" else "read-write",
        owner=workspace.owner,
        readable=(uploads, *reaches),
        pinned=(path, *reaches),
    )
