"""The sub-task tools for agents: in-process, or as an MCP server over the sandbox's callback channel.

The memory limits for lines and unread answers are shared by all tasks, and are as large as those of all windows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import mcp_types as types
from anyio.abc import ByteStream
from mcp.server.lowlevel import Server

from server.agents.interface import ToolResult, ToolSpec
from server.daemon.connection import Connection, Peer
from server.daemon.line_memory import LineMemory
from server.mcp import tools
from server.mcp.streams import Together, streams
from server.mcp.subtask_tools import TOOLS
from server.tasks.delegation.service import DelegationService
from server.tasks.execution.agent_caller import AgentCaller

MAX_LINE = 12 * 1024**2
"""Bytes of a message: 8 MiB of files in base64, and the rest."""

MAX_OPEN_MEMORY = 16 * 1024**2
"""Bytes of memory of one connection's open calls, of which a task may have eight; further ones are refused."""

_INSTRUCTIONS = (
    "Hand parts of your task to background agents: create_task, then get_task with waitSeconds until each has ended."
)


class SubtaskServer:
    """Serves sub-task requests of agents. Implements `server.tasks.execution.agent_caller.SubtaskApi`."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._opened: DelegationService | None = None
        self._line_memory = LineMemory()
        self._together = Together()

    def set_service(self, delegation: DelegationService) -> None:
        """Set the delegation service. Call it before any task starts.

        The service needs the scheduler, which needs this object, so it cannot be an argument of the constructor.
        """
        self._opened = delegation

    @property
    def _delegation(self) -> DelegationService:
        assert self._opened
        return self._opened

    def tool_specs(self, agent_caller: AgentCaller) -> Sequence[ToolSpec]:
        """Return the tools of an agent."""
        inheritance = self._delegation.inheritance(agent_caller)
        return [tool.spec(inheritance) for tool in TOOLS.values()]

    async def use(self, agent_caller: AgentCaller, tool: str, args: Mapping[str, Any]) -> ToolResult:
        """Call one of the tools for an agent of this server."""
        result = await self._called(agent_caller, tool, dict(args))
        texts = [content.text for content in result.content if isinstance(content, types.TextContent)]
        return ToolResult("\n".join(texts), failed=bool(result.is_error))

    async def has_open_subtask(self, agent_caller: AgentCaller, task_id: object) -> bool:
        """Return whether the agent has an open sub-task with this id."""
        return isinstance(task_id, str) and await self._delegation.has_open_subtask(agent_caller, task_id)

    async def serve(self, agent_caller: AgentCaller, stream: ByteStream) -> None:
        """Serve MCP on a connection until it ends."""
        peer = Peer(uid=-1, pid=-1, role="agent", cwd=None)
        connection = Connection(stream, peer, self._line_memory, max_line=MAX_LINE)
        server = self._server(agent_caller)
        async with streams(connection, self._together, max_memory=MAX_OPEN_MEMORY) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    def _server(self, agent_caller: AgentCaller) -> Server[dict[str, Any]]:
        async def list_tools(_: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
            tools.check_first_page(params)
            inheritance = self._delegation.inheritance(agent_caller)
            return types.ListToolsResult(tools=[tool.definition(inheritance) for tool in TOOLS.values()])

        async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
            return await self._called(agent_caller, params.name, params.arguments or {})

        return Server(
            "remit",
            version=self._version,
            title="remit",
            instructions=_INSTRUCTIONS,
            on_list_tools=list_tools,
            on_call_tool=call_tool,
        )

    async def _called(self, agent_caller: AgentCaller, name: str, args: dict[str, Any]) -> types.CallToolResult:
        async def call() -> types.CallToolResult:
            if name not in TOOLS:
                await self._delegation.forbid(agent_caller, name)
            return await TOOLS[name].tool.call(self._delegation, agent_caller, args)

        return await tools.outcome(name, call)
