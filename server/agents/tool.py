"""The tool type that models are offered."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from server.agents.interface import ToolResult, Turn


def _anything(_: Mapping[str, Any]) -> None:
    """Accept any arguments: the tool itself checks them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool: its description for a model, and its execution once a call may proceed."""

    name: str
    description: str
    schema: Mapping[str, Any]
    """The JSON schema of its arguments."""

    execute: Callable[[Turn, str, Mapping[str, Any]], Awaitable[ToolResult]]
    """Execute the call of this key with these arguments, and record how it ended."""

    check: Callable[[Mapping[str, Any]], None] = _anything
    """Raises ValueError, in words for the model, for invalid arguments."""

    reads: bool = False
    """Whether its calls need no approval, because it only reads what the task itself has made."""

    is_command: bool = False
    """Whether its calls are commands, executed by `Turn.run`."""

    describe: Callable[[Mapping[str, Any]], str] | None = None
    """Describes a call for the person who decides; None if its name says enough."""
