"""The working directory of a task's commands: a folder of its own, a worktree, or a folder of the user's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from server.errors import Code, RemitError
from server.runner.workspace.delivery import UPLOADS
from server.runner.worktrees.worktree import tree_of
from server.tasks.repository_record import repository_of
from storage.records.workspaces import Workspace

UPLOADS_VARIABLE = "TASK_UPLOADS"
"""Environment variable with the folder of a task's uploads, when the task works in a folder of the user's."""


@dataclass(frozen=True, slots=True)
class WorkingDirectory:
    """The folder in which the commands of a task work, and the other folders that they can read.

    `workspace` is the folder that is mounted, `folder` the one inside it that commands start in.
    """

    workspace: Path
    folder: Path
    access: Literal["read-write", "read-only"] = "read-write"
    owner: Literal["task", "user"] = "task"
    readable: tuple[Path, ...] = ()
    pinned: tuple[Path, ...] = ()
    """Folders of these that are not the task's own; other tasks may work in them, too."""

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables about it for commands."""
        return {UPLOADS_VARIABLE: str(self.readable[0])} if self.readable else {}


def top_folder(workspace: Workspace | None, own: Path) -> Path:
    """Return the top folder that a task works in; `own` is the task's own folder in the state folder."""
    if workspace is None:
        return own
    return Path(workspace.path) if workspace.repository is None else tree_of(own)


def working_directory(workspace: Workspace | None, own: Path) -> WorkingDirectory:
    """Return the working directory of a task; `own` is the task's own folder in the state folder.

    Raises RemitError (EXECUTION_ERROR): when a folder of the user's is gone, or is now a symlink to another place.
    """
    if workspace is None:
        return WorkingDirectory(own, own)
    uploads = own / UPLOADS
    if workspace.repository is not None:
        repository = repository_of(workspace.repository)
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
