"""A tool that a model may call."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from server.agents.interface import ToolResult, Turn


def _anything(_: Mapping[str, Any]) -> None:
    """For arguments that somebody else judges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What a model reads of a tool, and what is done when a call of it may proceed."""

    name: str
    description: str
    schema: Mapping[str, Any]
    """The JSON schema of its arguments."""

    execute: Callable[[Turn, str, Mapping[str, Any]], Awaitable[ToolResult]]
    """Make the call of this key with these arguments, and note how it ended."""

    check: Callable[[Mapping[str, Any]], None] = _anything
    """Raise ValueError, in words for the model, for arguments that cannot be."""

    reads: bool = False
    """Whether a call of it needs nobody's approval: it only reads what the task itself has made."""

    is_command: bool = False
    """Whether a call of it is a command, made by `Turn.run`."""

    describe: Callable[[Mapping[str, Any]], str] | None = None
    """What a call does, in words for whoever decides it; None where there is no more to say than its name."""
