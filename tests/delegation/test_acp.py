"""An agent program hands on sub-tasks through the MCP server that it finds in its session."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.delegation.conftest import Call, attempts
from tests.servers import Host

pytestmark = pytest.mark.anyio

PROGRAM = str(Path(__file__).with_name("program.py"))
SETTINGS = f"""
[agents.mine]
command = ["/usr/bin/python3", "-I", "-S", {json.dumps(PROGRAM)}]
readable = [{json.dumps(PROGRAM)}]
delegates_to = ["shell"]
network = NETWORK
"""

Window = Callable[..., AbstractAsyncContextManager[Host]]


@pytest.fixture
def window(state: Path) -> Window:
    """A window on a server with an agent program that has this network."""

    @asynccontextmanager
    async def opened(network: str = '"none"') -> AsyncIterator[Host]:
        (state.parent / "remit.toml").write_text(SETTINGS.replace("NETWORK", network))
        async with servers.host(state) as host:
            yield host

    return opened


async def worked(host: Host, *calls: Call, **arguments: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A task whose program makes these calls, and what came back; last of all its token, as it is shown."""
    task = await host.done(json.dumps(calls), agentId="mine", **arguments)
    task = await host.call("get_task", id=task["id"], include=["events"], maxChars=1_000_000)
    assert task["status"] == "completed", task["error"]
    return task, [json.loads(line) for line in task["output"]["content"].splitlines()]


@pytest.mark.parametrize("network", ['"none"', '["127.0.0.1:1"]', '"full"'])
async def test_it_hands_on_and_waits(window: Window, network: str) -> None:
    calls: list[Call] = [
        ("create_task", {"message": "$ echo from below", "agentId": "shell"}),
        ("get_task", {"id": "ID", "waitSeconds": 30}),
    ]
    async with window(network) as host:
        task, (made, read, shown) = await worked(host, *calls)
        sub_task = await host.call("get_task", id=made["id"])
    assert (read["status"], read["output"]["content"]) == ("completed", "from below\n")
    assert (sub_task["parentTaskId"], sub_task["triggeringAgentId"]) == (task["id"], "mine")
    assert shown == {"token": "[secret REMIT_TOKEN]"}


async def test_what_it_may_not_do_is_refused_and_told_of(window: Window) -> None:
    async with window() as host:
        other = await host.create("# a record", agentId="none")
        calls: list[Call] = [
            ("approve_tool_call", {"id": other, "callId": "x", "outcome": "proceed_once"}),
            ("get_task", {"id": other}),
            ("cancel_task", {"id": other}),
            ("create_task", {"message": "$ true", "parentTaskId": other}),
            ("create_task", {"message": "hello", "agentId": "claude"}),
            ("create_task", {"message": "$ true", "agentId": "shell", "timeoutSeconds": 100_000}),
        ]
        task, answers = await worked(host, *calls)
        made = await host.call("list_tasks", parentTaskId=task["id"])
        assert (await host.call("get_task", id=other))["status"] == "pending"
    codes = ["FORBIDDEN", "NOT_FOUND", "NOT_FOUND", "FORBIDDEN", "FORBIDDEN", "LIMIT_EXCEEDED"]
    assert [answer["error"]["code"] for answer in answers[:-1]] == codes
    assert attempts(task) == [(code, tool) for code, (tool, _) in zip(codes, calls, strict=True)]
    assert made["total"] == 0
