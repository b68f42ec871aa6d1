"""The tools of MCP servers, as a model is offered them."""

import json
import logging
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import mcp_types as types
from mcp import Client
from mcp.client._transport import Transport
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError

from server.agents.interface import ToolResult, Turn
from server.agents.mcp import local
from server.agents.mcp.schema_filter import unchecked
from server.agents.mcp.servers import Local, Remote
from server.agents.tool import Tool
from server.errors import Code, RemitError, innermost
from server.limits import TOOL_NAME

_log = logging.getLogger(__name__)

CONNECT_SECONDS = 30
"""The time for a server's first answer."""

MAX_TOOLS = 200
"""Tools of one server that a model is offered: more of them would fill what it can take in."""


@asynccontextmanager
async def connected(servers: Sequence[Remote | Local], turn: Turn) -> AsyncIterator[list[Tool]]:
    """Yield the tools of these servers, which stay connected while the block runs.

    Raises RemitError (AGENT_UNAVAILABLE) that names the server which cannot be reached.
    """
    error: Exception | None = None
    try:
        async with AsyncExitStack() as stack:
            try:
                yield [tool for server in servers for tool in await _tools(server, turn, stack)]
            except Exception as raised:  # carried out, since the clients' task groups would wrap it
                error = raised
    except Exception as closing:  # what came of the turn stands, however its servers take their leave
        _log.info("an MCP server was not closed well: %s", type(closing).__name__)
    if error:
        raise error


async def _tools(server: Remote | Local, turn: Turn, stack: AsyncExitStack) -> list[Tool]:
    try:
        transport = await _transport(server, turn, stack)
        # A timeout of its own: a cancel scope must not end while something entered within it goes on.
        client = await stack.enter_async_context(Client(unchecked(transport), read_timeout_seconds=CONNECT_SECONDS))
        found = await _listed(client)
    except RemitError:
        raise
    except Exception as error:
        raise _unreachable(server, _reason(error)) from None
    return [await _tool(server, client, tool, turn) for tool in _wanted(server, found)]


async def _transport(server: Remote | Local, turn: Turn, stack: AsyncExitStack) -> Transport:
    if isinstance(server, Local):
        return local.transport(turn, server)
    http = await stack.enter_async_context(create_mcp_http_client(headers=dict(server.headers)))
    return streamable_http_client(server.url, http_client=http, terminate_on_close=False)


async def _listed(client: Client) -> list[types.Tool]:
    found: list[types.Tool] = []
    cursor = None
    while len(found) <= MAX_TOOLS:
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if cursor is None or not page.tools:  # pages without tools could go on for ever
            break
    return found[:MAX_TOOLS]


def _wanted(server: Remote | Local, tools: Iterable[types.Tool]) -> list[types.Tool]:
    allow, deny = server.settings.allow, server.settings.deny
    return [tool for tool in tools if (allow is None or tool.name in allow) and tool.name not in deny]


async def _tool(server: Remote | Local, client: Client, tool: types.Tool, turn: Turn) -> Tool:
    async def execute(turn: Turn, key: str, args: Mapping[str, Any]) -> ToolResult:
        return await turn.perform(key, partial(_call, server, client, tool.name, args))

    name = await turn.mask(f"{server.name}_{tool.name}")  # before it is changed and cut, or it could not be masked
    return Tool(
        name=re.sub(r"[^A-Za-z0-9_-]", "_", name)[:TOOL_NAME],
        description=await turn.mask(tool.description or tool.title or tool.name),
        schema=await turn.mask(tool.input_schema),
        execute=execute,
        describe=lambda _: f"Call {tool.name} of the MCP server {server.name}",
    )


async def _call(server: Remote | Local, client: Client, name: str, args: Mapping[str, Any]) -> ToolResult:
    seconds = server.settings.timeout
    try:
        with anyio.fail_after(seconds):
            result = await client.call_tool(name, dict(args), read_timeout_seconds=seconds)
    except TimeoutError:
        return ToolResult(f"the MCP server {server.name} has not answered within {seconds:g} s", failed=True)
    except Exception as error:
        return ToolResult(f"the MCP server {server.name} failed: {_reason(error)}", failed=True)
    return ToolResult(_text(result), failed=bool(result.is_error))


def _text(result: types.CallToolResult) -> str:
    """Return the parts of a result that a model can read, as text."""
    texts = [_readable(content) for content in result.content]
    if not texts and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(texts)


def _readable(content: Any) -> str:
    match content:
        case types.TextContent():
            return content.text
        case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
            return resource.text
        case _:
            return f"[{content.type}: not shown]"


def _unreachable(server: Remote | Local, reason: str) -> RemitError:
    return RemitError(
        Code.AGENT_UNAVAILABLE,
        f"the MCP server {server.name} cannot be used: {reason}; check [mcp_servers.{server.name}] in the settings",
        mcpServer=server.name,
    )


def _reason(error: BaseException) -> str:
    """Return what went wrong, without the address, which may hold a secret."""
    error = innermost(error)
    if isinstance(error, TimeoutError):
        return f"it has not answered within {CONNECT_SECONDS} s"
    if isinstance(error, MCPError):
        return f"it answered {error.error.code}: {error.error.message}"
    return type(error).__name__
