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
    agent: bool = False
    """Whether it is the agent of a task, whose rights `delegation` has looked at: nobody but that may say so."""

    @property
    def source(self) -> Source:
        """Where the tasks come from that it makes."""
        if self.agent:
            return "agent"
        return "terminal" if self.person else "mcp"
