"""Real servers in state folders of the tests' own, and real MCP clients that talk to them over stdio."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from server.errors import ERROR_META

LAUNCHER = Path(__file__).parents[1] / "remit.py"
PATIENCE = 30
"""Seconds: far above what anything here takes."""


class Host:
    """An assistant's host: an MCP client at the other end of a `remit` that it has started."""

    def __init__(self, client: Client, home: Path) -> None:
        self.client = client
        self.home = home
        """The state folder of its server."""

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return a tool's answer."""
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    async def fail(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return a tool's error: its code, its message and its facts, all of which its text has told in words."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        assert result.structured_content is None
        assert result.meta
        error: dict[str, Any] = result.meta[ERROR_META]
        (content,) = result.content
        text = f"{error['code']}: {error['message']}"
        assert content.model_dump()["text"] == text
        assert [fact for fact in _leaves(error) if fact not in text] == [], text
        return error

    async def create(self, message: str, **arguments: Any) -> str:
        """Return the id of a new task."""
        created = await self.call("create_task", message=message, **arguments)
        return str(created["id"])

    async def until(self, task_id: str, *statuses: str, **arguments: Any) -> dict[str, Any]:
        """Return the task, once it has one of these states."""
        with anyio.fail_after(PATIENCE):
            while True:
                task = await self.call("get_task", id=task_id, **arguments)
                if task["status"] in statuses:
                    return task
                news = {"include": ["events"], "afterEvent": task["lastEvent"]}
                await self.call("get_task", id=task_id, waitSeconds=20, **news)

    async def said(self, task_id: str, text: str) -> None:
        """Wait until the task has said that, whose last character begins no secret: it would be held back."""
        with anyio.fail_after(PATIENCE):
            while text not in (task := await self.call("get_task", id=task_id)).get("output", {}).get("content", ""):
                news = {"include": ["events"], "afterEvent": task["lastEvent"]}
                await self.call("get_task", id=task_id, waitSeconds=20, **news)

    async def done(self, message: str, **arguments: Any) -> dict[str, Any]:
        """Return a new task, once it has ended."""
        return await self.until(await self.create(message, **arguments), "completed", "failed", "cancelled")

    async def waiting(self, message: str, **arguments: Any) -> tuple[str, str]:
        """Return the ids of a new task and of its call that waits for approval."""
        task_id = await self.create(message, autoExecute=False, **arguments)
        return task_id, await self.waiting_call(task_id)

    async def waiting_call(self, task_id: str) -> str:
        """Return the id of the task's call that waits for approval, once there is one."""
        task = await self.until(task_id, "awaiting_approval")
        (call,) = task["pendingApprovals"]
        return str(call["callId"])

    async def decide(self, task_id: str, call_id: str, outcome: str, **arguments: Any) -> dict[str, Any]:
        """Return a yes or no."""
        call = await self.shown(task_id, call_id)
        return await self.call("approve_tool_call", id=task_id, callId=call_id, call=call, outcome=outcome, **arguments)

    async def shown(self, task_id: str, call_id: str) -> str:
        """Return what a waiting call does, as approve_tool_call takes it back."""
        task = await self.call("get_task", id=task_id)
        (call,) = [call["call"] for call in task["pendingApprovals"] if call["callId"] == call_id]
        return str(call)


def _leaves(facts: Any) -> Iterator[str]:
    """Yield the texts and numbers of which facts are made, in words."""
    match facts:
        case dict():
            for value in facts.values():
                yield from _leaves(value)
        case list():
            for value in facts:
                yield from _leaves(value)
        case None:
            pass
        case _:
            yield str(facts)


def script(lines: str) -> str:
    """Return a message that has the shell agent run these lines as one command."""
    return f"```sh\n{lines.strip()}\n```"


@asynccontextmanager
async def host(home: Path, *, cwd: Path | None = None, mode: Any = "auto", **variables: str) -> AsyncIterator[Host]:
    """Yield a window on the server of `home`, which is started if need be."""
    parameters = StdioServerParameters(
        command=sys.executable, args=[str(LAUNCHER)], env=environment(home, **variables), cwd=cwd or home.parent
    )
    async with Client(stdio_client(parameters), mode=mode) as client:
        yield Host(client, home)


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Return the variables of a `remit` with a state folder of its own."""
    (home.parent / "remit.toml").touch()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("REMIT_")}
    return inherited | {"REMIT_HOME": str(home), "REMIT_CONFIG": str(home.parent / "remit.toml")} | variables


@contextmanager
def home(folder: Path) -> Iterator[Path]:
    """Yield a state folder; its server is stopped at the end, and must heed it."""
    state = folder / "state"
    try:
        yield state
    finally:
        for pid in servers(state):
            end(pid, signal.SIGTERM)
    assert servers(state) == []


def servers(state: Path) -> list[int]:
    """Return the pid of the server of a state folder, by its lock; none if none runs."""
    try:
        pid = int((state / "server.lock").read_text() or 0)
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [pid] if command.endswith(b"\0serve\0") else []


def end(pid: int, number: signal.Signals) -> None:
    """Send a signal, and wait until the process is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    wait(pid)


def wait(pid: int) -> None:
    """Wait until a process is gone."""
    with suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            ended, _, _ = select.select([process], [], [], PATIENCE)
        finally:
            os.close(process)
        assert ended, f"process {pid} did not end"


def kill(home: Path) -> None:
    """End the server without a warning."""
    (server,) = servers(home)
    end(server, signal.SIGKILL)


def command(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run `remit` with arguments, to its end."""
    return subprocess.run(
        [sys.executable, str(LAUNCHER), *arguments],
        env=environment(home, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
