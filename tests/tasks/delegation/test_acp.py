"""An agent program hands on sub-tasks through the MCP server that it finds in its session."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.servers import Host
from tests.tasks.delegation.conftest import Call, attempts

pytestmark = pytest.mark.anyio

PROGRAM = str(Path(__file__).with_name("program.py"))
AGENT = """
[agents.NAME]
command = ["/usr/bin/python3", "-I", "-S", PROGRAM]
readable = [PROGRAM]
delegates_to = ["shell"]
network = NETWORK
"""
NETWORKS = {"alone": '"none"', "by-name": '["127.0.0.1:1"]', "shared": '"full"'}
"""The network of each agent."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of a server with these agents, which the tests share."""
    with servers.home(tmp_path_factory.mktemp("shared")) as home:
        agent = AGENT.replace("PROGRAM", json.dumps(PROGRAM))
        agents = [agent.replace("NAME", name).replace("NETWORK", network) for name, network in NETWORKS.items()]
        (home.parent / "remit.toml").write_text("".join(agents))
        yield home


@pytest.fixture
async def host(home: Path) -> AsyncIterator[Host]:
    async with servers.host(home) as host:
        yield host


async def worked(host: Host, agent: str, *calls: Call) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a task whose program makes these calls, and what came back; last of all its token, as it is shown."""
    task = await host.done(json.dumps(calls), agentId=agent)
    task = await host.call("get_task", id=task["id"], include=["events"], maxChars=1_000_000)
    assert task["status"] == "completed", task["error"]
    return task, [json.loads(line) for line in task["output"]["content"].splitlines()]


@pytest.mark.parametrize("agent", NETWORKS)
async def test_it_hands_on_and_waits(host: Host, agent: str) -> None:
    calls: list[Call] = [
        ("create_task", {"message": "$ echo from below", "agentId": "shell"}),
        ("get_task", {"id": "ID", "waitSeconds": 30}),
    ]
    task, (made, read, shown) = await worked(host, agent, *calls)
    sub_task = await host.call("get_task", id=made["id"])
    assert (read["status"], read["output"]["content"]) == ("completed", "from below\n")
    assert (sub_task["parentTaskId"], sub_task["triggeringAgentId"]) == (task["id"], agent)
    assert shown == {"token": "[secret REMIT_TOKEN]"}


async def test_what_it_may_not_do_is_refused_and_told_of(host: Host) -> None:
    other = await host.create("# a record", agentId="none")
    calls: list[Call] = [
        ("approve_tool_call", {"id": other, "callId": "x", "outcome": "proceed_once"}),
        ("get_task", {"id": other}),
        ("cancel_task", {"id": other}),
        ("create_task", {"message": "$ true", "parentTaskId": other}),
        ("create_task", {"message": "hello", "agentId": "claude"}),
        ("create_task", {"message": "$ true", "agentId": "shell", "timeoutSeconds": 100_000}),
    ]
    task, answers = await worked(host, "alone", *calls)
    made = await host.call("list_tasks", parentTaskId=task["id"])
    assert (await host.call("get_task", id=other))["status"] == "pending"
    codes = ["FORBIDDEN", "NOT_FOUND", "NOT_FOUND", "FORBIDDEN", "FORBIDDEN", "LIMIT_EXCEEDED"]
    assert [answer["error"]["code"] for answer in answers[:-1]] == codes
    assert attempts(task) == [(code, tool) for code, (tool, _) in zip(codes, calls, strict=True)]
    assert made["total"] == 0
