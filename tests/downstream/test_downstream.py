"""The MCP servers of the tests, as their users see them."""

import sys
from pathlib import Path

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.downstream import local
from tests.downstream.server import downstream


async def test_a_call_over_http_is_answered_and_noted() -> None:
    with downstream() as server:
        async with Client(server.url) as client:
            answer = await client.call_tool("echo", {"text": "hello"})
    assert answer.structured_content == {"result": "echo: hello"}
    assert server.calls == [("echo", "hello")]


async def test_the_headers_of_a_client_are_noted() -> None:
    with downstream() as server:
        async with Client(server.url) as client:
            await client.list_tools()
    assert server.was_shown("Host", server.host)
    assert not server.was_shown("Authorization", "Bearer nobody's")


async def test_the_local_server_tells_what_it_was_started_with(tmp_path: Path) -> None:
    parameters = StdioServerParameters(
        command=sys.executable, args=["-I", "-S", local.__file__, "one", "two"], env={"TOKEN": "value"}, cwd=tmp_path
    )
    async with Client(stdio_client(parameters)) as client:
        variable = await client.call_tool("variable", {"name": "TOKEN"})
        arguments = await client.call_tool("arguments", {})
    assert [answer.content[0].model_dump()["text"] for answer in (variable, arguments)] == ["value", "one two"]
