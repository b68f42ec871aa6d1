"""MCP servers, one per connection, each bound to its caller."""

from dataclasses import replace
from typing import Any

import mcp_types as types
from mcp.server import ServerRequestContext
from mcp.server.lowlevel import Server

from server.daemon.connection import Connection
from server.mcp import tools
from server.mcp.streams import MAX_OPEN, Together, streams
from server.tasks.callers import Caller, Tell
from server.tasks.service import TaskService

INSTRUCTIONS = (
    "remit runs tasks in the background, each in its own folder and within this server's limits. create_task, then "
    "get_task with waitSeconds until it has ended. pendingApprovals are for the user to decide."
)

MAX_PERSON_OPEN = 1100
"""Open calls of a terminal: `remit watch` waits for up to a thousand sub-tasks at once."""


class McpServer:
    """Serves the MCP tools on connections."""

    def __init__(self, tasks: TaskService, version: str) -> None:
        self._tasks = tasks
        self._version = version
        self._together = Together()

    def server(self, caller: Caller) -> Server[dict[str, Any]]:
        """Return an MCP server that acts for `caller`."""

        offered = tools.offered(person=caller.person, decides=self._tasks.may_decide(caller))

        async def list_tools(_: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
            return tools.listed(params, person=caller.person)

        async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
            if params.name not in offered:
                raise tools.unknown(params.name, offered)
            asking = replace(caller, tell=_teller(context))
            return await self._call(asking, offered[params.name], params.arguments or {})

        server: Server[dict[str, Any]] = Server(
            "remit",
            version=self._version,
            title="remit",
            instructions=INSTRUCTIONS,
            on_list_tools=list_tools,
            on_call_tool=call_tool,
        )
        return server

    async def serve(self, connection: Connection, caller: Caller) -> None:
        """Serve MCP on one connection until it ends, in the protocol era that the client opens with."""
        server = self.server(caller)
        most = MAX_PERSON_OPEN if caller.person else MAX_OPEN
        async with streams(connection, self._together, most) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    async def _call(self, caller: Caller, tool: tools.McpTool[Any], arguments: dict[str, Any]) -> types.CallToolResult:
        async def call() -> types.CallToolResult:
            return await tool.call(self._tasks, caller, arguments)

        return await tools.outcome(tool.name, call)


def _teller(context: ServerRequestContext[Any, Any]) -> Tell | None:
    """Return a function that reports progress of an open request; None if its sender did not ask for progress."""
    if "progress_token" not in (context.meta or {}):
        return None

    async def tell(progress: float, message: str) -> None:
        await context.session.report_progress(progress, message=message)

    return tell
