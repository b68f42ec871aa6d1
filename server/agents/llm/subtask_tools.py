"""The server's sub-task tools, as the model is offered them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from server.agents.interface import ToolResult, ToolSpec, Turn
from server.agents.tool import Tool


def delegation(turn: Turn) -> list[Tool]:
    """Return the sub-task tools; empty if the task may not create sub-tasks."""
    return [_tool(spec) for spec in turn.tool_specs()]


def _tool(spec: ToolSpec) -> Tool:
    return Tool(
        name=spec.name,
        description=spec.description,
        schema=spec.schema,
        execute=partial(_use, spec.name),
        reads=spec.reads,
        describe=partial(_described, spec.name),
    )


async def _use(name: str, turn: Turn, key: str, args: Mapping[str, Any]) -> ToolResult:
    return await turn.use(key, name, args)


def _described(name: str, args: Mapping[str, Any]) -> str:
    about = " ".join(str(args.get("message") or args.get("id") or "").split())
    return f"{name.replace('_', ' ').capitalize()}: {about}" if about else name
