"""MCP servers that the llm agent uses: what they are shown, and what decides about their calls."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from server.agents.interface import ToolResult, Turn
from server.agents.llm.agent import by_name
from server.agents.tool import Tool
from server.errors import RemitError
from tests.downstream import local
from tests.downstream.server import Downstream, downstream
from tests.homes import Windows
from tests.models.script import Say, Use, relay, steps
from tests.models.shared import Serve

SECRET = "tracker-token-77812"


def settings(url: str) -> dict[str, str]:
    """Variables of a server that knows the remote one at `url` in several ways, and local ones."""
    here = Path(local.__file__)
    python = {"command": "/usr/bin/python3", "args": ["-I", "-S", str(here)]}
    known = {
        "notes": {"url": url},
        "allowing": {"url": url, "allow": ["echo"]},
        "denying": {"url": url, "deny": ["erase"]},
        "signed": {"url": url, "headers": {"Authorization": "Bearer <<mcp.TOKEN>>"}},
        "unsigned": {"url": url, "headers": {"X-Key": "<<mcp.ABSENT>>"}},
        "gone": {"url": "http://127.0.0.1:9/mcp"},
        "local": {**python, "args": [*python["args"], "--for=<<mcp.WHO>>"], "env": {"TOKEN": "<<mcp.KEY>>"}},
        "odd": {**python, "args": [*python["args"], "said"]},
    }
    return {"REMIT_MCP_SERVERS": json.dumps(known), "REMIT_AGENTS__LLM__READABLE": json.dumps([str(here.parent)])}


@pytest.fixture(scope="module")
def shared_downstream() -> Iterator[Downstream]:
    """The remote one, which the tests share."""
    with downstream() as shared:
        yield shared


@pytest.fixture
def notes(shared_downstream: Downstream) -> Downstream:
    """The same, which was told nothing yet."""
    shared_downstream.forget()
    return shared_downstream


@pytest.fixture
def window(window: Windows, notes: Downstream) -> Windows:
    """A window on a server with these settings."""
    return partial(window, **settings(notes.url))


@pytest.mark.behaviour("create_task:templates:mcp_servers", "create_task:invoke:mcp_servers")
async def test_a_templated_header_arrives_and_the_model_never_sees_it(
    window: Windows, model: Serve, notes: Downstream
) -> None:
    with model(relay("echo", text="hello")) as scripted:
        async with window(scripted) as host:
            task = await host.done("echo", agentId="llm", mcpServers=["signed"], secrets={"TOKEN": SECRET})
    assert (task["status"], task["output"]["content"]) == ("completed", "echo: hello")
    assert notes.was_shown("Authorization", f"Bearer {SECRET}")
    assert SECRET not in json.dumps(task)
    assert not scripted.heard(SECRET)


async def test_its_calls_wait_for_approval_like_any_other(window: Windows, model: Serve, notes: Downstream) -> None:
    with model(relay("echo", text="hello")) as scripted:
        async with window(scripted) as host:
            task_id = await host.create("echo", agentId="llm", mcpServers=["notes"], autoExecute=False)
            task = await host.until(task_id, "awaiting_approval")
            (call,) = task["pendingApprovals"]
            assert (call["toolName"], call["args"]) == ("notes_echo", {"text": "hello"})
            assert notes.calls == []
            await host.decide(task_id, call["callId"], "proceed_once")
            task = await host.until(task_id, "completed", "failed")
    assert task["output"]["content"] == "echo: hello"
    assert notes.calls == [("echo", "hello")]


async def test_a_missing_key_ends_the_task_before_anything_starts(
    window: Windows, model: Serve, notes: Downstream
) -> None:
    with model(relay("echo", text="hello")) as scripted:
        async with window(scripted) as host:
            task = await host.done("echo", agentId="llm", mcpServers=["unsigned"])
    assert (task["status"], task["errorCode"]) == ("failed", "TEMPLATE_ERROR")
    assert "ABSENT" in task["error"]
    assert "unsigned" in task["error"]
    assert (scripted.requests, notes.headers) == ([], [])


@pytest.mark.behaviour("create_task:templates:mcp_servers", "wire:mcp_servers")
async def test_a_local_one_runs_in_the_sandbox_with_its_own_variables_alone(window: Windows, model: Serve) -> None:
    script = steps(
        [
            Use("local_variable", {"name": "TOKEN"}),
            Use("local_variable", {"name": "OTHER"}),
            Use("local_arguments", {}),
        ],
        Say("done"),
    )
    with model(script) as scripted:
        async with window(scripted) as host:
            secrets = {"KEY": SECRET, "OTHER": "another-secret-1"}
            task = await host.done("ask", agentId="llm", mcpServers=["local"], secrets=secrets, env={"WHO": "ann"})
    outputs = [call["output"] for call in task["output"]["toolCalls"]]
    assert outputs == ["[secret KEY]", "(unset)", "--for=ann"]


async def test_no_schema_of_a_local_one_keeps_the_server_busy(window: Windows, model: Serve) -> None:
    with model(steps([Use("odd_odd", {})], Say("done"))) as scripted:
        async with window(scripted) as host:
            task = await host.done("ask", agentId="llm", mcpServers=["odd"])
    assert [call["output"] for call in task["output"]["toolCalls"]] == ["said"]


@pytest.mark.behaviour("wire:mcp_servers")
@pytest.mark.parametrize("name", ["allowing", "denying"])
async def test_only_the_tools_that_are_allowed_are_offered(window: Windows, model: Serve, name: str) -> None:
    with model(steps(Say("I see"))) as scripted:
        async with window(scripted) as host:
            await host.done("look", agentId="llm", mcpServers=[name])
    (request,) = scripted.requests
    assert f"{name}_echo" in request.tools
    assert f"{name}_erase" not in request.tools


async def test_a_tool_that_is_named_for_a_secret_has_another_name(window: Windows, model: Serve) -> None:
    with model(steps(Use("_secret_S_", {"text": "hello"}), Say("done"))) as scripted:
        async with window(scripted) as host:
            task = await host.done("echo", agentId="llm", mcpServers=["notes"], secrets={"S": "notes_echo"})
    (call,) = task["output"]["toolCalls"]
    assert (call["toolName"], call["output"]) == ("_secret_S_", "echo: hello")


async def test_one_that_cannot_be_reached_is_named(window: Windows, model: Serve) -> None:
    with model(relay("echo", text="hello")) as scripted:
        async with window(scripted) as host:
            task = await host.done("echo", agentId="llm", mcpServers=["gone"])
    assert (task["status"], task["errorCode"]) == ("failed", "AGENT_UNAVAILABLE")
    assert "gone" in task["error"]


async def test_one_that_cannot_be_reached_is_named_beside_one_that_can(window: Windows, model: Serve) -> None:
    with model(relay("echo", text="hello")) as scripted:
        async with window(scripted) as host:
            task = await host.done("echo", agentId="llm", mcpServers=["notes", "gone"])
    assert (task["status"], task["errorCode"]) == ("failed", "AGENT_UNAVAILABLE")
    assert "gone" in task["error"]


async def test_a_remote_one_and_no_network_do_not_go_together(window: Windows, model: Serve) -> None:
    with model(steps()) as scripted:
        async with window(scripted) as host:
            asked = {"mcpServers": ["notes"], "require": {"network": "none"}}
            error = await host.fail("create_task", message="echo", agentId="llm", **asked)
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "require.network")


async def _nothing(_turn: Turn, _key: str, _args: Mapping[str, Any]) -> ToolResult:
    return ToolResult("")


def test_two_tools_of_one_name_are_refused() -> None:
    tool = Tool(name="notes_echo", description="", schema={}, execute=_nothing)
    with pytest.raises(RemitError, match="notes_echo"):
        by_name([tool, replace(tool, description="another")])


async def test_one_that_the_settings_do_not_have_is_refused(window: Windows, model: Serve) -> None:
    with model(steps()) as scripted:
        async with window(scripted) as host:
            error = await host.fail("create_task", message="echo", agentId="llm", mcpServers=["unknown"])
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "mcpServers")


async def test_the_shell_agent_takes_none(window: Windows, model: Serve) -> None:
    with model(steps()) as scripted:
        async with window(scripted) as host:
            error = await host.fail("create_task", message="$ true", mcpServers=["notes"])
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "mcpServers")


async def test_the_agent_has_those_its_settings_name(window: Windows, model: Serve) -> None:
    with model(relay("echo", text="hello")) as scripted:
        own = {"REMIT_AGENTS__LLM__MCP_SERVERS": '["notes"]'}
        async with window(scripted, **own) as host:
            task = await host.done("echo", agentId="llm")
    assert task["output"]["content"] == "echo: hello"


async def test_a_tool_that_fails_is_told_to_the_model(window: Windows, model: Serve) -> None:
    with model(relay("echo")) as scripted:
        async with window(scripted) as host:
            task = await host.done("echo", agentId="llm", mcpServers=["notes"])
    (call,) = task["output"]["toolCalls"]
    assert (task["status"], call["status"]) == ("completed", "error")
