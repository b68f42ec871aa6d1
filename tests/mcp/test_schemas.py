"""Answers of the tools, checked against `tools/list` by an independent validator."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema import Draft202012Validator

from server.daemon.handshake import reach
from server.daemon.paths import StatePaths
from server.errors import ERROR_META
from tests import servers
from tests.servers import Host

ERAS = ["legacy", "2026-07-28"]
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
ERRORS: dict[str, dict[str, Any]] = {
    "create_task": {"message": ""},
    "list_tasks": {"status": "nonsense"},
    "get_task": {"id": "nobody-knows"},
    "approve_tool_call": {"id": "nobody-knows", "callId": "x", "call": "x", "outcome": "cancel"},
    "send_message": {"id": "nobody-knows", "message": "$ true"},
    "cancel_task": {"id": "nobody-knows"},
    "update_task": {"id": "nobody-knows", "title": "x"},
    "get_task_graph": {},
    "delete_task": {"id": "nobody-knows"},
    "read_artifacts": {"id": "nobody-knows"},
    "list_agents": {"whose": "mine"},
}
TERMINAL_ERRORS: dict[str, dict[str, Any]] = {
    "list_worktrees": {"whose": "mine"},
    "prune_worktrees": {"ids": [], "force": True},
    "prune_tasks": {"now": "maybe"},
    "list_grants": {"whose": "mine"},
    "revoke_grant": {"id": "nobody-knows"},
}


class Declared:
    """The declarations of the tools, from their definitions as they came over the wire."""

    def __init__(self, tools: list[dict[str, Any]]) -> None:
        self.names = {tool["name"] for tool in tools}
        self._inputs = {tool["name"]: _validator(tool["inputSchema"]) for tool in tools}
        self._outputs = {tool["name"]: _validator(tool["outputSchema"]) for tool in tools}

    def check(self, tool: str, arguments: dict[str, Any], answer: Any) -> None:
        """Raise unless both are what the tool declares."""
        self._inputs[tool].validate(arguments)
        self._outputs[tool].validate(answer)


class CheckedHost(Host):
    """A window whose every call and answer are checked."""

    def __init__(self, host: Host, declared: Declared) -> None:
        super().__init__(host.client, host.home)
        self._declared = declared

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await super().call(tool, **arguments)
        self._declared.check(tool, arguments, answer)
        return answer

    async def look(self, task_id: str, status: str) -> None:
        """Call every reading tool for a task of this status."""
        look = {"id": task_id, "include": ["messages", "events", "graph"]}
        with anyio.fail_after(servers.PATIENCE):
            while (await self.call("get_task", **look))["status"] != status:
                await self.call("get_task", id=task_id, waitSeconds=1)
        await self.call("get_task", id=task_id, maxChars=200)
        await self.call("list_tasks", status=[status], limit=100)
        await self.call("get_task_graph", taskListId="schemas")


@pytest.mark.parametrize("era", ERAS)
async def test_what_is_said_of_tasks_in_every_state_is_what_the_tools_declare(shared_home: Path, era: str) -> None:
    async with servers.host(shared_home, mode=era) as plain:
        host = CheckedHost(plain, await declared(plain))
        common = {"taskListId": "schemas", "metadata": {"a": [1, None]}, "env": {"A": "1"}, "title": "a title"}
        running = await host.create("$ sleep 600", **common)
        blocked = await host.create("$ true", dependsOn=[running], **common)
        waiting = await host.create("$ true", autoExecute=False, **common)
        paused = await host.create("$ true\n$ true", maxCalls=1, **common)
        failed = await host.create("$ exit 3", **common)
        record = await host.create("a record", agentId="none", parentTaskId=running, assignedAgentId="me", **common)
        await host.look(running, "running")
        await host.look(blocked, "blocked")
        await host.look(waiting, "awaiting_approval")
        await host.look(paused, "paused")
        await host.look(failed, "failed")
        await host.look(record, "pending")
        await host.call("cancel_task", id=blocked)
        await host.look(blocked, "cancelled")
        await host.call("update_task", id=record, status="completed", result="done", progress=1)
        await host.look(record, "completed")
        await host.call("list_tasks", dependsOn=running, includeDetails=True)
        await host.call("read_artifacts", id=running)
        await host.call("cancel_task", id=running)


@pytest.mark.parametrize("era", ERAS)
async def test_what_each_tool_answers_is_what_it_declares(shared_home: Path, era: str) -> None:
    async with servers.host(shared_home, mode=era) as plain:
        host = CheckedHost(plain, await declared(plain))
        task_id = await host.create("$ echo hi > file; cat file", autoExecute=False)
        call_id = await host.waiting_call(task_id)
        await host.decide(task_id, call_id, "proceed_always")
        await host.look(task_id, "completed")
        await host.call("read_artifacts", id=task_id, path="file")
        await host.call("send_message", id=task_id, message="$ true")
        await host.call("list_tasks", page=1, perPage=1)
        await host.call("list_agents")
        await host.call("delete_task", id=task_id)


@pytest.mark.parametrize("era", ERAS)
async def test_an_error_of_each_tool_is_a_sentence_and_no_structured_content(shared_home: Path, era: str) -> None:
    async with servers.host(shared_home, mode=era) as host:
        assert (await declared(host)).names == set(ERRORS)
        for tool, arguments in ERRORS.items():
            await host.fail(tool, **arguments)


async def test_what_the_tools_of_a_terminal_answer_is_what_they_declare(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task_id, call_id = await host.waiting("$ true")
        await host.decide(task_id, call_id, "proceed_always")
        known = Declared(terminal(own_home, "tools/list")["tools"])
        (grant,) = at_terminal(own_home, known, "list_grants")["grants"]
        at_terminal(own_home, known, "revoke_grant", id=grant["id"])
        at_terminal(own_home, known, "list_worktrees")
        at_terminal(own_home, known, "prune_worktrees")
        at_terminal(own_home, known, "prune_tasks")
    assert known.names == {*ERRORS, *TERMINAL_ERRORS}


async def test_an_error_of_each_tool_of_a_terminal_is_a_sentence_too(own_home: Path) -> None:
    async with servers.host(own_home):
        for tool, arguments in TERMINAL_ERRORS.items():
            result = terminal(own_home, "tools/call", name=tool, arguments=arguments)
            error = result["_meta"][ERROR_META]
            assert result["isError"]
            assert "structuredContent" not in result
            assert result["content"] == [{"type": "text", "text": f"{error['code']}: {error['message']}"}]


async def declared(host: Host) -> Declared:
    """Return what the tools of a window declare."""
    listed = await host.client.list_tools()
    return Declared([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed.tools])


def at_terminal(home: Path, declared: Declared, tool: str, **arguments: Any) -> Any:
    """Return the checked answer of a tool to a person at a terminal."""
    answer = terminal(home, "tools/call", name=tool, arguments=arguments)["structuredContent"]
    declared.check(tool, arguments, answer)
    return answer


def terminal(home: Path, method: str, **params: Any) -> dict[str, Any]:
    """Return the result of a request of a terminal, whose connection the server knows by its hello."""
    link = reach(StatePaths(str(home), ""), "connect", "terminal")
    assert link
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
    with link.socket, link.socket.makefile("rwb") as lines:
        lines.write(json.dumps(request).encode() + b"\n")
        lines.flush()
        result: dict[str, Any] = json.loads(lines.readline())["result"]
    return result


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
