"""A session with an agent: opened or resumed, prompted, cancelled and closed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from server.agents.acp.connection import JsonRpcConnection, RequestRefused
from server.agents.acp.schema import (
    AUTH_REQUIRED,
    PROTOCOL,
    AgentCapabilities,
    Initialized,
    Modes,
    Prompted,
    SessionOpened,
    read,
)
from server.agents.mcp.servers import Local, Remote
from server.errors import Code, RemitError

ANSWER_SECONDS = 120.0
"""The time for the agent's answer to anything but a prompt. The slowest seen took 11 s, on a busy machine."""

GRACE_SECONDS = 2.0
"""The time for a cancelled agent to end; nothing of a task may live five seconds after a cancel."""

CLOSE_SECONDS = 2.0
"""The time for an agent to close a session."""

_CLIENT = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTerms:
    """The terms of a session: its folder, servers, mode and authentication."""

    workspace: Path
    servers: Sequence[Remote | Local]
    system_prompt: str | None
    """The text to put in front of the message."""

    resume: bool
    """Whether a session may be taken up again."""

    meta: Mapping[str, Any]
    """For `_meta`: what agents can be told that the protocol has no words for."""

    advice: Mapping[str, str]
    """Advice about failures, by a word in the agent's last output."""

    mode: str | None
    """The mode in which it asks, where it has several."""

    auth_method: str | None
    """The id of the way to sign in; None if the agent need not be told."""

    version: str
    """The version of this program, which is sent to the agent."""


class AcpSession:
    """One session over a connection that is being served."""

    def __init__(self, connection: JsonRpcConnection, terms: SessionTerms) -> None:
        self._connection = connection
        self._terms = terms
        self._capabilities = AgentCapabilities()
        self._prompt: int | None = None
        self.id = ""

    @property
    def can_be_resumed(self) -> bool:
        """Whether the agent says that it can take up a session again."""
        return bool(self._capabilities.load_session) or self._capabilities.can_resume

    async def initialize(self) -> None:
        """Initialize and sign in. Raises RemitError (AGENT_UNAVAILABLE), or as `JsonRpcConnection.request`."""
        info = {"name": "remit", "version": self._terms.version}
        params = {"protocolVersion": PROTOCOL, "clientCapabilities": _CLIENT, "clientInfo": info}
        initialized = read(Initialized, await self._request("initialize", params))
        if initialized.protocol_version != PROTOCOL:
            raise _unavailable(f"it speaks version {initialized.protocol_version} of the protocol, not {PROTOCOL}")
        self._capabilities = initialized.agent_capabilities or self._capabilities
        self._check_servers()
        method = self._terms.auth_method
        if method and method in (known.id for known in initialized.auth_methods or ()):
            await self._request("authenticate", {"methodId": method})

    async def open(self) -> None:
        """Begin a session. Raises as `initialize`."""
        opened = read(SessionOpened, await self._request("session/new", self._params()))
        if opened.session_id is None:
            raise RemitError(Code.EXECUTION_ERROR, "the agent opened a session and gave it no id")
        self.id = opened.session_id
        await self._enter_mode(opened.modes)

    async def take_up(self, session_id: str) -> bool:
        """Resume an earlier session. Returns whether that was possible. Raises as `initialize`."""
        if not self.can_be_resumed:
            return False
        method = "session/resume" if self._capabilities.can_resume else "session/load"
        try:
            answer = await self._request(method, {"sessionId": session_id, **self._params()})
        except RequestRefused:
            return False
        self.id = session_id
        await self._enter_mode(read(SessionOpened, answer).modes)
        return True

    async def prompt(self, text: str, over: Callable[[], None]) -> Prompted:
        """Prompt the agent and wait until it is done, which calls `over`. Raises as `JsonRpcConnection.request`."""
        params = {"sessionId": self.id, "prompt": [{"type": "text", "text": text}]}
        self._prompt = await self._connection.begin("session/prompt", params, over)
        try:
            answer = await self._connection.answered(self._prompt)
        except RequestRefused:
            self._prompt = None
            raise
        self._prompt = None
        return read(Prompted, answer)

    async def cancel(self) -> None:
        """Tell the agent to stop, if it is at work."""
        if self._prompt is not None:
            await self._connection.notify("session/cancel", {"sessionId": self.id})

    async def stopped(self) -> None:
        """Wait until the agent reports that it has stopped."""
        if self._prompt is not None:
            await self._connection.answered(self._prompt)

    async def close(self) -> None:
        """Close the session, if the agent supports that."""
        if self._capabilities.can_close:
            with anyio.move_on_after(CLOSE_SECONDS):
                await self._connection.request("session/close", {"sessionId": self.id})

    async def _enter_mode(self, modes: Modes | None) -> None:
        mode = self._terms.mode
        if mode is None or modes is None or modes.current_mode_id == mode:
            return
        if mode not in (known.id for known in modes.available_modes):
            raise _unavailable(f"it has no mode {mode!r}, the one in which it asks for permission")
        await self._request("session/set_mode", {"sessionId": self.id, "modeId": mode})

    async def _request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            with anyio.fail_after(ANSWER_SECONDS):
                return await self._connection.request(method, params)
        except TimeoutError:
            raise RemitError(Code.TIMEOUT, f"the agent did not answer {method} within {ANSWER_SECONDS:.0f} s") from None
        except RequestRefused as error:
            if error.code == AUTH_REQUIRED:
                raise _unavailable(f"it has to be signed in: {error.message}") from None
            raise

    def _params(self) -> dict[str, Any]:
        servers = [_server(server) for server in self._terms.servers]
        meta = {"_meta": self._terms.meta} if self._terms.meta else {}
        return {"cwd": str(self._terms.workspace), "mcpServers": servers, **meta}

    def _check_servers(self) -> None:
        """Refuse a server that the agent could not speak to, rather than do without it."""
        for server in self._terms.servers:
            if isinstance(server, Remote) and not self._capabilities.takes_remote_servers:
                raise _unavailable(f"it cannot use the MCP server {server.name}: it speaks to none over HTTP")


def _server(server: Remote | Local) -> dict[str, Any]:
    if isinstance(server, Remote):
        return {"type": "http", "name": server.name, "url": server.url, "headers": _pairs(server.headers)}
    command, *args = server.argv
    return {"name": server.name, "command": command, "args": args, "env": _pairs(server.env)}


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _unavailable(reason: str) -> RemitError:
    return RemitError(Code.AGENT_UNAVAILABLE, f"the agent cannot be used: {reason}")
