"""Who asks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storage.records import Principal

Source = Literal["terminal", "mcp", "agent"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `person` where the face is a terminal, and the folder on this machine it was started in."""

    principal: Principal
    person: bool
    folder: Path | None
    agent: int | None = None
    """The number of the task whose agent it is, where `delegation` has looked at its rights: nobody else may say so."""

    person_only: frozenset[str] = frozenset()
    """Settings, of `approvals` and `always`, that are `person` for this caller, whatever they are for others."""
    settings_not_in_force: tuple[str, ...] = ()
    """Names of the `REMIT_*` variables of the caller's window that differ from what the server was started with."""

    @property
    def source(self) -> Source:
        """Where the tasks come from that it makes."""
        if self.agent is not None:
            return "agent"
        return "terminal" if self.person else "mcp"
