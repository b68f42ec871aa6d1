"""A folder that a task works in, or on a worktree of, and that is not its own: as a record."""

from dataclasses import dataclass
from typing import Any, Literal

Mode = Literal["worktree", "readwrite", "readonly"]

Checkout = Literal["open", "clean", "dirty"]
"""How a worktree that is there stands: not looked at since a run began, all of it in the branch, or something not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A folder as it was asked for, and what has come of it."""

    mode: Mode
    path: str
    """The folder, absolute and without links."""

    shared: bool
    owner: Literal["user", "task"] = "user"
    """Whose it is: the user's, or that of a task whose agent shares it with this one."""

    reaches: tuple[str, ...]
    """The folders outside its own that the task's commands see: whoever could move them could show it others."""

    repository: dict[str, Any] | None = None
    """What a worktree is made of; see `server.runner.git.repository.Repository`."""

    checkout: Checkout | None = None
    outcome: dict[str, Any] | None = None
    """What a look at the worktree has found last; see `server.tasks.workspaces.worktrees`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeRecord:
    """A worktree that is there, or half there, with what is to be known of its task."""

    task_id: str
    principal: str
    agent: str
    demands: dict[str, Any] | None
    ended_at: int | None
    """When the task ended; None for one that has not."""

    is_shared: bool
    """Whether a sub-task that works in it has not ended."""

    last_activity_at: int
    workspace: Workspace

    @property
    def is_over(self) -> bool:
        """Whether nobody works in it: the task has ended, and all that it shares it with."""
        return self.ended_at is not None and not self.is_shared
