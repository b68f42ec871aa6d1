"""Random messages over a callback channel, with the right token: each is answered or dropped, nothing else suffers."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from socket import socketpair
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.daemon.line_memory import LineMemory
from server.limits import PIPE_BYTES
from server.mcp import subtask_server as desks
from server.mcp.subtask_server import SubtaskServer
from server.runner.network.stream import SocketStream
from server.runner.workspace.workspaces import Workspaces
from server.tasks.delegation.service import DelegationService
from server.tasks.execution.agent_caller import AgentCaller
from server.tasks.execution.scheduler import Scheduler
from server.tasks.secrets.variables import Variables
from server.tasks.service import TaskService
from storage.sqlite.store import open_store
from tests.bounds import bounded
from tests.storage.samples import ANN, new_task
from tests.tasks.services import services

pytestmark = pytest.mark.anyio

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
names = ("create_task", "get_task", "list_tasks", "send_message", "cancel_task", "approve_tool_call", "")
calls = st.builds(
    lambda name, args, number: json.dumps(
        {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": args}}
    ).encode(),
    st.sampled_from(names),
    st.dictionaries(st.sampled_from(["id", "message", "env", "files", "waitSeconds", "limits", "x"]), json_values),
    st.integers() | st.text(max_size=5),
)
MOST_MEMORY = 4 * 1024**2
"""Bytes: what is kept of a connection, and an answer with five schemas; eight lines of some KB take next to none."""

noise = st.binary(max_size=200).filter(lambda data: b"\n" not in data)
lines = st.lists(noise | json_values.map(lambda value: json.dumps(value).encode()) | calls, max_size=8)


Visit = Callable[[], AbstractAsyncContextManager[SocketStream]]
"""Opens one more connection to a sub-task server, and yields the agent's end of it."""


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Visit]:
    """Yield a sub-task server whose service is real, and whose run is claimed."""
    async with open_store(folder / "remit.db") as store:
        shared = services(store, Workspaces(folder / "workspaces"))
        subtask_server = SubtaskServer("1")
        tasks = TaskService(shared, Scheduler(shared, subtask_server, "owner"), [])
        subtask_server.set_service(DelegationService(tasks, shared))
        await store.create_task(ANN, new_task())
        claim = await store.claim_run("owner")
        assert claim
        agent_caller = AgentCaller(store, claim, Variables(claim, shared.vault, store))

        async def serve(served: SocketStream) -> None:
            async with served:
                await subtask_server.serve(agent_caller, served)

        @asynccontextmanager
        async def visit() -> AsyncIterator[SocketStream]:
            ours, theirs = socketpair()
            async with anyio.create_task_group() as group:
                group.start_soon(serve, SocketStream(ours))
                async with SocketStream(theirs) as agent:
                    yield agent

        yield visit


@asynccontextmanager
async def talking(folder: Path) -> AsyncIterator[SocketStream]:
    """Yield the agent's end of a connection to such a server."""
    async with opened(folder) as visit, visit() as agent:
        yield agent


async def asked(agent: SocketStream, request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request."""
    await agent.send(json.dumps(request).encode() + b"\n")
    with anyio.fail_after(30):
        return await answered(agent, request["id"])


async def answered(agent: SocketStream, number: str) -> dict[str, Any]:
    """Return the answer with this id, whatever comes before it."""
    received = b""
    while True:
        received += await agent.receive()
        *whole, received = received.split(b"\n")
        for line in whole:
            message = json.loads(line)
            if isinstance(message, dict) and message.get("id") == number:
                return message


@pytest.mark.long
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=lines)
async def test_after_any_lines_a_request_is_answered(
    tmp_path_factory: pytest.TempPathFactory, garbage: list[bytes]
) -> None:
    async with talking(tmp_path_factory.mktemp("fuzz")) as agent:
        about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        hello = {"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": about}
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        call = {"jsonrpc": "2.0", "id": "call", "method": "tools/call", "params": {"name": "create_task"}}
        last = {"jsonrpc": "2.0", "id": "last-of-all", "method": "tools/list"}
        await asked(agent, hello)
        await agent.send(json.dumps(ready).encode() + b"\n")
        await asked(agent, call)
        await asked(agent, last)  # what is made once is made by now
        async with bounded(MOST_MEMORY):
            for line in garbage:
                await agent.send(line + b"\n")
            answer = await asked(agent, last)
    assert len(answer["result"]["tools"]) == 5


async def test_the_half_lines_of_all_agents_take_memory_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "LineMemory", lambda: LineMemory(3 * PIPE_BYTES))
    told: list[bytes] = []

    async def hear(agent: SocketStream) -> None:
        told.append(await agent.receive())
        group.cancel_scope.cancel()

    async with opened(tmp_path) as visit, visit() as first, visit() as second:
        for agent in (first, second):
            await agent.send(b"x" * PIPE_BYTES)
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(hear, first)
                group.start_soon(hear, second)
    assert b"needed by others" in told[0]


async def test_a_line_that_is_too_long_ends_the_connection_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "MAX_LINE", 1024**2)
    async with talking(tmp_path) as agent, anyio.create_task_group() as group:
        group.start_soon(_flood, agent)
        with anyio.fail_after(30):
            said = await _heard(agent)
    assert "at most 1 MiB" in said.decode()


async def _flood(agent: SocketStream) -> None:
    with suppress(anyio.BrokenResourceError):
        while True:
            await agent.send(b"x" * 65536)


async def _heard(agent: SocketStream) -> bytes:
    """Return all that comes until the end."""
    said = b""
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            said += await agent.receive()
    return said


async def test_half_a_line_at_the_end_is_no_message(tmp_path: Path) -> None:
    async with talking(tmp_path) as agent:
        await agent.send(b'{"jsonrpc": "2.0", "id": 1, "meth')
        await agent.send_eof()
        with anyio.fail_after(30):
            assert b"this line is not JSON" in await _heard(agent)


async def test_who_asks_and_does_not_listen_is_not_read_any_further(tmp_path: Path) -> None:
    taken = 0
    async with talking(tmp_path) as agent:
        scope = anyio.CancelScope()
        while not scope.cancelled_caught:
            assert taken < 100_000
            pings = [{"jsonrpc": "2.0", "id": taken + number, "method": "ping"} for number in range(100)]
            with anyio.move_on_after(3) as scope:
                await agent.send(b"".join(json.dumps(ping).encode() + b"\n" for ping in pings))
                taken += len(pings)
