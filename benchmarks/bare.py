"""What remit is held against: an MCP server on the same SDK, over stdio, with one tool that answers what it is given.

It is built on the SDK's low-level server, as remit is; the decorated one does more for each call and would flatter us.

    python bare.py [FILE]      FILE: {"tool": the tool's definition, "answer": its structured content}, as JSON
"""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

ECHO: dict[str, Any] = {
    "tool": {"name": "echo", "description": "Say it again.", "inputSchema": {"type": "object"}},
    "answer": {"said": "again"},
}


async def serve(tool: types.Tool, answer: dict[str, Any]) -> None:
    """Offer `tool`, and answer every call of it with `answer`, as text and as structure."""

    async def list_tools(_: Any, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool])

    async def call_tool(_: Any, __: types.CallToolRequestParams) -> types.CallToolResult:
        text = types.TextContent(text=json.dumps(answer, ensure_ascii=False, separators=(",", ":")))
        return types.CallToolResult(content=[text], structured_content=answer)

    server: Server[dict[str, Any]] = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text()) if sys.argv[1:] else ECHO
    anyio.run(serve, types.Tool.model_validate(given["tool"]), given["answer"])
