"""An MCP server on the loopback, which keeps the headers it is shown and the calls it is asked for."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

import uvicorn
from mcp.server import MCPServer
from starlette.types import ASGIApp, Receive, Scope, Send

PATIENCE = 30
"""Seconds to wait for its beginning: far above what that takes."""

_PATH = "/mcp"


@dataclass
class Downstream:
    """The requests that the server received, from anyone."""

    port: int
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request, by lower-case name."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    """The tool and the text of each call."""

    has_begun: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return f"http://{self.host}{_PATH}"

    @property
    def host(self) -> str:
        """The same, as a rule of a network by name."""
        return f"127.0.0.1:{self.port}"

    def was_shown(self, name: str, value: str) -> bool:
        """Return whether every request had that header with that value, and there was one."""
        return bool(self.headers) and all(headers.get(name.lower()) == value for headers in self.headers)

    def forget(self) -> None:
        """Be as one that was told nothing yet."""
        self.headers.clear()
        self.calls.clear()


@contextmanager
def downstream() -> Iterator[Downstream]:
    """Serve it as long as the body lasts."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        this = Downstream(listener.getsockname()[1])
        app = _noting(_server(this).streamable_http_app(), this)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=1))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert this.has_begun.wait(PATIENCE), "it does not begin"
            yield this
        finally:
            server.should_exit = True
            thread.join()


def _server(this: Downstream) -> MCPServer:
    server = MCPServer("downstream", log_level="CRITICAL")

    @server.tool()
    def echo(text: str) -> str:
        """Say a text back."""
        this.calls.append(("echo", text))
        return f"echo: {text}"

    @server.tool()
    def erase(text: str) -> str:
        """Pretend to erase what a text names."""
        this.calls.append(("erase", text))
        return f"erased: {text}"

    return server


def _noting(app: ASGIApp, this: Downstream) -> ASGIApp:
    """Return the same application, whose requests are noted."""

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            this.has_begun.set()
        if scope["type"] == "http":
            this.headers.append({name.decode().lower(): value.decode() for name, value in scope["headers"]})
        await app(scope, receive, send)

    return noting
