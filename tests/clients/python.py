"""The clients written in Python: the official SDK, and FastMCP."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastmcp
import mcp
from fastmcp.client.transports import StdioTransport
from fastmcp.exceptions import ToolError
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import ContentBlock, TextContent

from tests.clients.window import ARGUMENTS, COMMAND, Outcome, Window
from tests.servers import environment


@dataclass(frozen=True, slots=True)
class _Sdk:
    tools: Sequence[str]
    client: mcp.Client

    async def call(self, tool: str, **arguments: Any) -> Outcome:
        result = await self.client.call_tool(tool, arguments)
        return Outcome(result.is_error or False, _text(result.content), result.structured_content or {})


@dataclass(frozen=True, slots=True)
class _FastMcp:
    tools: Sequence[str]
    client: fastmcp.Client[StdioTransport]

    async def call(self, tool: str, **arguments: Any) -> Outcome:
        try:
            result = await self.client.call_tool(tool, arguments)
        except ToolError as error:
            return Outcome(True, str(error), {})
        return Outcome(False, _text(result.content), result.structured_content or {})


@asynccontextmanager
async def sdk(home: Path, *, mode: Any) -> AsyncIterator[Window]:
    """Yield the official SDK; `mode` is the era, as it calls it."""
    server = StdioServerParameters(command=COMMAND, args=ARGUMENTS, env=environment(home))
    async with mcp.Client(stdio_client(server), mode=mode) as client:
        yield _Sdk([tool.name for tool in (await client.list_tools()).tools], client)


@asynccontextmanager
async def fast_mcp(home: Path) -> AsyncIterator[Window]:
    """FastMCP; it raises an exception for a failed call."""
    transport = StdioTransport(COMMAND, ARGUMENTS, env=environment(home), keep_alive=False)
    async with fastmcp.Client(transport) as client:
        yield _FastMcp([tool.name for tool in await client.list_tools()], client)


def _text(content: Sequence[ContentBlock]) -> str:
    return "\n".join(block.text for block in content if isinstance(block, TextContent))
