"""Records of what a server that died has left, and of what became of it, also after a restore."""

from dataclasses import dataclass
from typing import Any

from storage.records.tasks import Run
from storage.records.workspaces import Workspace


@dataclass(frozen=True, slots=True)
class Leftover:
    """A run that a dead server left open, with its processes and the folder it works in."""

    run: Run
    processes: list[dict[str, Any]]
    workspace: Workspace | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """The outcome of recovery at a server's start: ids of tasks interrupted, resumed and blocked."""

    interrupted: list[str]
    resumed: list[str]
    blocked: list[str]


@dataclass(frozen=True, slots=True)
class HeldTasks:
    """The ids of formerly open tasks: failed because interrupted in a call, paused, and waiting for approval."""

    interrupted: list[str]
    paused: list[str]
    awaiting_approval: list[str]
