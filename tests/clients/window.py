"""The common part of all clients: a window on remit, and the outcome of a call."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.servers import LAUNCHER

COMMAND = sys.executable
ARGUMENTS = [str(LAUNCHER)]
"""What every client starts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a call as a client gives it to its user, as a result or as an exception."""

    failed: bool
    text: str
    structure: dict[str, Any]
    """The structured content; empty where there is none."""


class Window(Protocol):
    """A client that is connected, and has listed the tools: from then on it checks answers against their schemas."""

    @property
    def tools(self) -> Sequence[str]:
        """The names of the tools."""
        ...

    async def call(self, tool: str, **arguments: Any) -> Outcome:
        """Call one of them."""
        ...


Opener = Callable[[Path], AbstractAsyncContextManager[Window]]
"""Opens a window on the server of a state folder."""
