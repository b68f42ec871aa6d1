"""Hand a command to remit, decide what it may run, and print what came of it.

    python delegate.py 'echo "Hello from $(hostname)"'

This is all that a program needs to delegate: an MCP client, and `remit` on the PATH.
"""

import os
import sys
from typing import Any

import anyio
from anyio import to_thread
from mcp import Client, StdioServerParameters

# The SDK hands a server PATH, HOME and the like, and leaves out all other variables.
REMIT = StdioServerParameters(
    command="remit", env={name: value for name, value in os.environ.items() if name.startswith("REMIT_")}
)


class Refused(Exception):
    """A tool's error."""


async def main(command: str) -> int:
    """Delegate the command in a window of our own; 0 if the task completes, else 1."""
    async with Client(REMIT) as remit:
        try:
            task = await delegate(remit, f"$ {command}")
        except Refused as refused:
            print(refused, file=sys.stderr)
            return 1
    print(task["output"]["content"], end="")
    print(task["status"], task["error"] or "", file=sys.stderr)
    return 0 if task["status"] == "completed" else 1


async def delegate(remit: Client, message: str) -> dict[str, Any]:
    """Create a task and see it through; what get_task says of it at the end."""
    task = await call(remit, "create_task", message=message, autoExecute=False)
    while task["status"] not in {"completed", "failed", "cancelled"}:
        task = await call(remit, "get_task", id=task["id"], waitSeconds=45)
        for approval in task.get("pendingApprovals", []):
            await decide(remit, task["id"], approval)
    return task


async def decide(remit: Client, task_id: str, approval: dict[str, Any]) -> None:
    """Ask the person at the keyboard about a call that waits."""
    answer = await to_thread.run_sync(input, f"May it run {approval['args']['command']!r}? [y/N] ")
    outcome = "proceed_once" if answer == "y" else "cancel"
    shown = {"callId": approval["callId"], "call": approval["call"]}
    await call(remit, "approve_tool_call", id=task_id, **shown, outcome=outcome)


async def call(remit: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool's answer. Raises Refused, with the tool's own words, if it fails."""
    result = await remit.call_tool(tool, arguments)
    if result.is_error:
        error = (result.meta or {})["remit/error"]  # code, message, and what else there is to know
        raise Refused(error["message"])
    return result.structured_content or {}


if __name__ == "__main__":
    sys.exit(anyio.run(main, sys.argv[1]))
