"""Records of workspaces: folders that tasks work in directly or through a worktree."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypedDict

from storage.records.demands import Demands
from storage.records.masked import MaskedText

Mode = Literal["worktree", "readwrite", "readonly"]

Checkout = Literal["open", "clean", "dirty"]
"""The state of a worktree: not examined since the last run (open), all committed (clean), or with changes (dirty)."""


class FolderNotes(TypedDict, total=False):
    """Notes about a folder, written while its task works in it. Lists are JSON arrays."""

    protected: Sequence[Sequence[str]]
    """What was protected in it before the task's first command; see `server.runner.scanning.places`."""

    disarmed: Sequence[MaskedText]
    """What was set aside in it, in words."""


class WorktreeOutcome(FolderNotes, total=False):
    """The latest findings about a worktree, or the notes about a folder that a task works in directly."""

    carried: str
    """The task's last commit that is in the user's repository."""

    moving: str
    """The commit that its branch was to move to, if that was not seen to end."""

    head: str
    """The commit that the worktree is at; without it nothing was found about its contents."""

    dirty: bool
    files: Sequence[tuple[MaskedText, str]]
    """Changed files: path and status of each."""

    omitted: int
    """The number of changed files that are not named."""

    diff: MaskedText
    """The changes since the base commit."""

    cut: bool
    """Whether names or diff exceeded their limits."""

    problem: MaskedText
    """Why something would be lost with it, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRecord:
    """The user's repository of a worktree; the fields are those of `server.runner.git.repository.Repository`."""

    git: str
    objects: tuple[str, ...]
    top: str | None
    inside: str
    base: str
    format: str
    has_submodules: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as an object for the database."""
        return asdict(self)

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> "RepositoryRecord":
        """Return it from what `as_json` has returned."""
        return cls(**{**kept, "objects": tuple(kept["objects"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A folder as requested for a task, and its current state; a task that works in its own folder has None."""

    mode: Mode
    path: str
    """The folder, absolute, symlinks resolved."""

    shared: bool
    owner: Literal["user", "task"] = "user"
    """The owner of the folder: the user, or a task whose agent shares it with this one."""

    reaches: tuple[str, ...]
    """Folders outside its own that the task's commands see; a task that could move one could substitute it."""

    repository: RepositoryRecord | None = None
    """The repository of a worktree."""

    checkout: Checkout | None = None
    outcome: WorktreeOutcome = field(default_factory=WorktreeOutcome)


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
