"""Records of workspaces: folders that tasks work in directly or through a worktree."""

from dataclasses import dataclass
from typing import Any, Literal

from storage.records.demands import Demands

Mode = Literal["worktree", "readwrite", "readonly"]

Checkout = Literal["open", "clean", "dirty"]
"""The state of a worktree: not examined since the last run (open), all committed (clean), or with changes (dirty)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A folder as requested for a task, and its current state."""

    mode: Mode
    path: str
    """The folder, absolute, symlinks resolved."""

    shared: bool
    owner: Literal["user", "task"] = "user"
    """The owner of the folder: the user, or a task whose agent shares it with this one."""

    reaches: tuple[str, ...]
    """Folders outside its own that the task's commands see; a task that could move one could substitute it."""

    repository: dict[str, Any] | None = None
    """The repository of a worktree; see `server.runner.git.repository.Repository`."""

    checkout: Checkout | None = None
    outcome: dict[str, Any] | None = None
    """The latest findings about the worktree; see `server.tasks.workspaces.worktrees`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeRecord:
    """A worktree on disk, complete or not, with the facts about its task that decide what becomes of it."""

    task_id: str
    principal: str
    agent: str
    demands: Demands
    ended_at: int | None
    """When the task ended; None while it is open."""

    is_shared: bool
    """Whether an open sub-task works in it."""

    last_activity_at: int
    workspace: Workspace

    @property
    def is_over(self) -> bool:
        """Whether no task works in it: its own has ended, and so have all that share it."""
        return self.ended_at is not None and not self.is_shared
