"""What goes over the wire: both eras of the protocol, the size of the tools, and lines that are no messages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import servers
from tests.servers import Host


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_both_eras_of_the_protocol_are_served(shared_home: Path, mode: str) -> None:
    async with servers.host(shared_home, mode=mode) as host:
        assert (await host.done("$ echo hi"))["output"]["content"] == "hi\n"


async def test_what_a_model_reads_of_the_tools_is_small(host: Host) -> None:
    tools = [
        tool.model_dump(mode="json", by_alias=True, exclude_none=True)
        for tool in (await host.client.list_tools()).tools
    ]
    read = [{name: tool[name] for name in ("name", "description", "inputSchema")} for tool in tools]
    assert len(json.dumps(read, separators=(",", ":")).encode()) < 10_000
    assert len(json.dumps(tools, separators=(",", ":")).encode()) < 24_000


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
    with subprocess.Popen(
        [sys.executable, str(servers.LAUNCHER)],
        env=servers.environment(shared_home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as remit:
        assert remit.stdin
        assert remit.stdout
        deep = b'{"jsonrpc": "2.0", "id": 8, "method": "tools/list", "params": ' + b'{"a":' * 3000 + b"1" + b"}" * 3001
        remit.stdin.write(b'nonsense\n{"id": 7, "method": 1}\n[]\n' + deep + b"\n{}\n")
        remit.stdin.flush()
        answers = [json.loads(remit.stdout.readline()) for _ in range(5)]
        remit.stdin.close()
    refused = [(None, -32700), (7, -32600), (None, -32600), (None, -32600), (None, -32600)]
    assert [(answer["id"], answer["error"]["code"]) for answer in answers] == refused
