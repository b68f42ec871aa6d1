"""Who asks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storage.records.tasks import Principal

Tell = Callable[[float, str], Awaitable[None]]
"""Tells a caller who waits how far it is: a number that grows, and a line for people."""

Source = Literal["terminal", "mcp", "agent"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `person` where the interface is a terminal, and the folder on this machine it was started in."""

    principal: Principal
    person: bool
    folder: Path | None
    agent: int | None = None
    """The number of the task whose agent it is, where `delegation` has looked at its rights: nobody else may say so."""

    person_only: frozenset[str] = frozenset()
    """Settings, of `approvals` and `always`, that are `person` for this caller, whatever they are for others."""
    settings_not_in_force: tuple[str, ...] = ()
    """Names of the `REMIT_*` variables of the caller's window that differ from what the server was started with."""

    tell: Tell | None = None
    """How to reach the caller before the answer is there, where it asked to be told of progress."""

    @property
    def source(self) -> Source:
        """Where the tasks come from that it makes."""
        if self.agent is not None:
            return "agent"
        return "terminal" if self.person else "mcp"
