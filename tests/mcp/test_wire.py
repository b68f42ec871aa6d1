"""The wire: both eras of the protocol, the size of the tools, and lines that are no messages."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError

from tests import servers
from tests.mcp.test_promises import META
from tests.servers import Host


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_both_eras_of_the_protocol_are_served(shared_home: Path, mode: str) -> None:
    async with servers.host(shared_home, mode=mode) as host:
        assert (await host.done("$ echo hi"))["output"]["content"] == "hi\n"


async def test_every_tool_is_described_typed_and_annotated(host: Host) -> None:
    for tool in (await host.client.list_tools()).tools:
        assert tool.description
        assert tool.input_schema["type"] == "object"
        assert tool.output_schema
        assert tool.output_schema["properties"]
        assert tool.annotations
        assert tool.annotations.read_only_hint is not None


async def test_only_tools_that_read_say_so(host: Host) -> None:
    tools = (await host.client.list_tools()).tools
    reading = {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint}
    assert reading == {"list_tasks", "get_task", "get_task_graph", "list_agents", "read_artifacts"}


async def test_an_answer_is_words_for_models_and_structure_for_programs(host: Host) -> None:
    result = await host.client.call_tool("list_agents", {})
    (content,) = result.content
    assert content.model_dump()["text"].startswith("shell (default): ")
    assert result.structured_content
    assert result.structured_content["default"] == "shell"


def test_a_line_that_is_no_message_is_answered(shared_home: Path) -> None:
    deep = b'{"jsonrpc": "2.0", "id": 8, "method": "tools/list", "params": ' + b'{"a":' * 3000 + b"1" + b"}" * 3001
    neither = b'{"jsonrpc": "2.0", "id": 9}'
    answers = exchanged(shared_home, b"nonsense", b'{"id": 7, "method": 1}', b"[]", deep, b"{}", neither)
    refused = [(None, -32700), (7, -32600), (None, -32600), (None, -32600), (None, -32600), (9, -32600)]
    assert [(answer["id"], answer["error"]["code"]) for answer in answers] == refused


@pytest.mark.parametrize("number", ["null", "1.0", "1.5", "true", "false", "[1]", "{}", '"\\ud83d"'])
def test_a_request_whose_id_is_no_text_and_no_whole_number_is_refused(shared_home: Path, number: str) -> None:
    line = f'{{"jsonrpc": "2.0", "id": {number}, "method": "tools/list"}}'
    (answer,) = exchanged(shared_home, line.encode())
    assert (answer["id"], answer["error"]["code"]) == (None, -32600)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (r'{"message": "half \ud83d"}', "message"),
        (r'{"message": "$ true", "env": {"A": "\ud83d"}}', "env.A"),
        (r'{"message": "$ true", "metadata": {"a": [{"b": "\udc00"}]}}', "metadata.a[0].b"),
        (r'{"message": "$ true", "secrets": {"S": "hush \ud83d"}}', "secrets.S"),
        (r'{"message": "$ true", "metadata": {"\ud83d": 1}}', r"metadata.\ud83d"),
    ],
)
def test_half_a_character_in_an_argument_names_its_field(shared_home: Path, arguments: str, field: str) -> None:
    (answer,) = exchanged(shared_home, called("create_task", arguments))
    error = answer["result"]["_meta"]["remit/error"]
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", field)
    assert "hush" not in json.dumps(answer)


def test_half_a_character_elsewhere_is_no_message(shared_home: Path) -> None:
    (answer,) = exchanged(shared_home, called("list_tasks", "{}").replace(b"tools/call", rb"tools/\ud83d"))
    assert (answer["id"], answer["error"]["code"]) == (1, -32600)


@pytest.mark.parametrize("arguments", ['{"limit": 5}', r'"{\"limit\": 5}"', '""', "null"])
def test_arguments_may_come_as_a_text_of_json(shared_home: Path, arguments: str) -> None:
    (answer,) = exchanged(shared_home, called("list_tasks", arguments))
    assert answer["result"]["structuredContent"]["limit"] == (5 if "5" in arguments else 50)


@pytest.mark.parametrize("arguments", ['"nonsense"', '"[]"', "7"])
def test_arguments_that_are_no_object_are_refused(shared_home: Path, arguments: str) -> None:
    (answer,) = exchanged(shared_home, called("list_tasks", arguments))
    assert answer["id"] == 1
    assert answer["error"] == {"code": -32602, "message": "params.arguments must be an object"}


def test_a_call_of_no_tool_is_refused(shared_home: Path) -> None:
    line = called("list_tasks", "{}").replace(b'"list_tasks"', b"7")
    (answer,) = exchanged(shared_home, line)
    assert answer["error"] == {"code": -32602, "message": "params.name must be a text, the name of a tool"}


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_an_unknown_tool_is_an_error_of_the_protocol_and_the_nearest_is_named(
    shared_home: Path, mode: str
) -> None:
    async with servers.host(shared_home, mode=mode) as host:
        with pytest.raises(MCPError) as caught:
            await host.client.call_tool("creat_task", {})
    assert caught.value.code == -32602
    assert "create_task" in caught.value.message


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_cursor_of_the_tools_is_refused_since_none_is_given_out(shared_home: Path, mode: str) -> None:
    async with servers.host(shared_home, mode=mode) as host:
        with pytest.raises(MCPError) as caught:
            await host.client.list_tools(cursor="zzz")
        assert caught.value.code == -32602
        assert len((await host.client.list_tools(cursor="")).tools) == 11


async def test_a_bad_cursor_of_tasks_names_its_field(host: Host) -> None:
    error = await host.fail("list_tasks", cursor="zzz")
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "cursor")


def called(tool: str, arguments: str) -> bytes:
    """Return a line that calls a tool with these arguments, as JSON."""
    params = {"name": tool, "arguments": "ARGUMENTS", "_meta": META}
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    return line.replace('"ARGUMENTS"', arguments).encode()


def exchanged(home: Path, *lines: bytes) -> list[dict[str, Any]]:
    """Return what comes back for these lines, one for each."""
    with subprocess.Popen(
        [sys.executable, str(servers.LAUNCHER)],
        env=servers.environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as remit:
        assert remit.stdin
        assert remit.stdout
        remit.stdin.write(b"\n".join(lines) + b"\n")
        remit.stdin.flush()
        answers = [json.loads(remit.stdout.readline()) for _ in lines]
        remit.stdin.close()
    return answers
