"""Client side of the Agent Client Protocol: maps the agent's updates and questions to its turn."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio
from anyio.abc import TaskGroup

from server.agents.acp.connection import (
    Id,
    JsonRpcConnection,
    ProgramGone,
    ProtocolFault,
)
from server.agents.acp.schema import ContentChunk, Option, PermissionRequest, Plan, ToolCallUpdate, read
from server.agents.acp.tool_calls import ToolCall, ToolCalls, arguments
from server.agents.acp.transcript import AcpTranscript
from server.agents.interface import Permission, Turn
from server.errors import Code, RemitError
from server.json_rpc import INVALID_PARAMS, METHOD_NOT_FOUND

MAX_ASKING = 32
"""Permission requests that may be open at the same time."""

UNASKED_SECONDS = 10.0
"""Seconds after which a call under way counts as made without asking. OpenCode announces a call before it asks, on a
busy machine 2.5 s before."""


class AcpClient:
    """Handles the agent's messages, one after the other; `serve` does what has to wait.

    Messages count only between `begin` and `pause`; earlier ones belong to a resumed session.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._transcript = AcpTranscript(turn)
        self._connection: JsonRpcConnection | None = None
        self._group: TaskGroup | None = None
        self._calls: ToolCalls | None = None
        self._session_id = ""
        self._scope: anyio.CancelScope | None = None
        self._asking: dict[Id, Sequence[Option]] = {}
        self.error: Exception | None = None
        """The error that ended the handling."""

    def attach(self, connection: JsonRpcConnection) -> None:
        """Set the connection for answers."""
        self._connection = connection

    def join(self, session_id: str) -> None:
        """Join a session; `turn.calls()` has the calls of earlier runs."""
        self._session_id = session_id
        self._calls = ToolCalls(self._turn, session_id)

    async def serve(self) -> None:
        """Run the waiting work until cancelled."""
        async with anyio.create_task_group() as group:
            self._group = group
            await anyio.sleep_forever()

    def begin(self, scope: anyio.CancelScope) -> None:
        """Start handling messages; on an error, `error` is set and `scope` is cancelled."""
        self._scope = scope
        self._known_calls.refused.clear()

    @property
    def refused(self) -> Sequence[str]:
        """The keys of the calls refused since the agent's last output."""
        return tuple(self._known_calls.refused)

    def pause(self) -> None:
        """Stop handling messages."""
        self._scope = None

    async def end(self) -> None:
        """Finish after the agent is done: write what is left, and record the ends of its calls."""
        await self._transcript.finish_thought()
        await self._known_calls.close()

    async def cut_off(self) -> None:
        """Record the interruption of the calls under way, when the agent will not finish."""
        if self._calls:
            await self._calls.cut_off()

    async def withdraw(self) -> None:
        """Answer the open permission requests as cancelled, as the protocol requires when a turn is."""
        for request in list(self._asking):
            await self._answer(request, None)

    async def notified(self, method: str, params: Mapping[str, Any]) -> None:
        """Handle an update of the session. Raises ProtocolFault."""
        if method != "session/update" or self._scope is None:
            return
        if params.get("sessionId") != self._session_id:
            raise ProtocolFault("an update of a session that was not opened")
        await self._heed(self._updated, params.get("update"))

    async def asked(self, request: Id, method: str, params: Mapping[str, Any]) -> None:
        """Handle a permission request. Raises ProtocolFault."""
        if method != "session/request_permission":
            await self._wire.refuse(request, METHOD_NOT_FOUND, f"there is no method {method[:100]}")
            return
        if request in self._asking:
            raise ProtocolFault("a request with the id of one that is still open")
        question = await self._question(request, params)
        if self._scope is None:
            await self._answer(request, None)
        else:
            await self._heed(self._permission, request, question)

    async def shown(self, beginning: str) -> str:
        """Return the masked beginning of an invalid message, for an error."""
        return await self._turn.mask_beginning(beginning)

    @property
    def _wire(self) -> JsonRpcConnection:
        assert self._connection
        return self._connection

    @property
    def _known_calls(self) -> ToolCalls:
        assert self._calls
        return self._calls

    async def _question(self, request: Id, params: Mapping[str, Any]) -> PermissionRequest:
        try:
            question = read(PermissionRequest, params)
            if self._scope is not None and question.session_id != self._session_id:
                raise ProtocolFault("a permission request for a session that was not opened")
        except ProtocolFault as fault:
            await self._wire.refuse(request, INVALID_PARAMS, str(fault))
            raise
        return question

    async def _heed(self, function: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Handle a message; an error that is not the message's fault ends the turn."""
        try:
            await function(*arguments)
        except (ProtocolFault, ProgramGone):
            raise
        except Exception as error:
            self._stop(error)

    def _beside(self, function: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        assert self._group
        self._group.start_soon(self._guarded, function, *arguments)

    async def _guarded(self, function: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        try:
            await function(*arguments)
        except ProgramGone:
            pass  # whoever reads has noticed as well
        except Exception as error:
            self._stop(error)

    def _stop(self, error: Exception) -> None:
        if self._scope is not None:
            self.error = error
            self._scope.cancel()
            self._scope = None

    async def _updated(self, update: Any) -> None:
        kind = update.get("sessionUpdate") if isinstance(update, dict) else None
        if kind != "agent_thought_chunk":
            await self._transcript.finish_thought()
        match kind:
            case "agent_message_chunk":
                await self._said(read(ContentChunk, update))
            case "agent_thought_chunk":
                await self._transcript.think(read(ContentChunk, update))
            case "tool_call" | "tool_call_update":
                await self._told(read(ToolCallUpdate, update), is_new=kind == "tool_call")
            case "plan":
                await self._transcript.plan(read(Plan, update))
            case str():
                pass  # modes, commands, titles, the size of the context, and what is not known yet
            case _:
                raise ProtocolFault("an update that does not say what it is")

    async def _said(self, chunk: ContentChunk) -> None:
        if await self._transcript.say(chunk):
            self._known_calls.refused.clear()

    async def _told(self, update: ToolCallUpdate, *, is_new: bool) -> None:
        self._transcript.pause()
        call = await self._known_calls.take(update, is_new=is_new)
        if call and update.status == "in_progress" and not call.acts and not call.is_timed:
            call.is_timed = True
            self._beside(self._unasked, call)

    async def _unasked(self, call: ToolCall) -> None:
        with anyio.move_on_after(UNASKED_SECONDS):
            await call.over.wait()
            return
        await self._known_calls.tell(call)

    async def _permission(self, request: Id, question: PermissionRequest) -> None:
        if len(self._asking) >= MAX_ASKING:
            raise RemitError(Code.LIMIT_EXCEEDED, f"the agent asks for more than {MAX_ASKING} permissions at once")
        self._asking[request] = question.options
        try:
            call = self._known_calls.question(question.tool_call)
        except ProtocolFault:
            await self._answer(request, None)
            raise
        self._beside(self._decide, request, call, arguments(question.tool_call))

    async def _decide(self, request: Id, call: ToolCall, args: Mapping[str, Any]) -> None:
        permission = await self._known_calls.ask(call, args)
        if request in self._asking and self._scope is not None:
            await self._answer(request, permission is Permission.PROCEED)

    async def _answer(self, request: Id, allowed: bool | None) -> None:
        """Answer with an option of the right kind; with None, or without such an option, as cancelled."""
        options = self._asking.pop(request, ())
        kind = "allow_once" if allowed else "reject_once"
        option = None if allowed is None else next((known.option_id for known in options if known.kind == kind), None)
        outcome = {"outcome": "selected", "optionId": option} if option else {"outcome": "cancelled"}
        await self._wire.answer(request, {"outcome": outcome})
