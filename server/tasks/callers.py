"""Callers of the task service: who makes a request, and through which interface."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storage.records.tasks import Principal

Tell = Callable[[float, str], Awaitable[None]]
"""Reports progress to a waiting caller: a growing number (seconds waited), and a line of text."""

Source = Literal["terminal", "mcp", "agent"]
"""The interface that a request came through."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request.

    `person`: the interface is a terminal. `folder`: where its interface was started on this machine.
    """

    principal: Principal
    person: bool
    folder: Path | None
    agent: int | None = None
    """The number of the task whose agent calls. Set only by `delegation`, which checks the agent's rights."""

    person_only: frozenset[str] = frozenset()
    """Which of the settings `approvals` and `always` are `person` for this caller, whatever they are for others."""
    settings_not_in_force: tuple[str, ...] = ()
    """Names of the `REMIT_*` variables of the caller's window that differ from what the server was started with."""

    tell: Tell | None = None
    """Sends progress to the caller, where it asked for that."""

    @property
    def source(self) -> Source:
        """The source recorded for tasks that this caller creates."""
        if self.agent is not None:
            return "agent"
        return "terminal" if self.person else "mcp"
