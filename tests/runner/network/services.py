"""Real sockets to test against: a service that answers, and a proxy that leads to it."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from ipaddress import ip_address

import anyio

from server.runner.network.dialer import Dialer, Resolve
from server.runner.network.hosts import Address, Endpoint, HostRule
from server.runner.network.proxy import Proxy

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Handler = Callable[[socket.socket], Awaitable[None]]


@dataclass
class Service:
    """Listens on the loopback, and keeps what it is told."""

    port: int
    heard: list[bytes] = field(default_factory=list)
    connected: anyio.Event = field(default_factory=anyio.Event)
    parted: anyio.Event = field(default_factory=anyio.Event)

    @property
    def here(self) -> str:
        """Its own address, as a rule and as part of a URI."""
        return f"127.0.0.1:{self.port}"


@dataclass
class Entrance:
    """A proxy's port, and the hosts it refused."""

    port: int
    refused: list[tuple[str, int, str]] = field(default_factory=list)


@asynccontextmanager
async def service(answer: bytes = ANSWER, *, until: bytes = b"\r\n\r\n") -> AsyncIterator[Service]:
    """Answers each connection once it has heard `until`, and closes it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        this = Service(listener.getsockname()[1])

        async def attend(connection: socket.socket) -> None:
            this.connected.set()
            this.heard.append(await receive_until(connection, until))
            this.parted.set()
            await send(connection, answer)

        async with anyio.create_task_group() as group:
            group.start_soon(_accept_all, listener, attend)
            yield this
            group.cancel_scope.cancel()


@asynccontextmanager
async def echo() -> AsyncIterator[Service]:
    """Says what it hears, until there is nothing more."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        async def attend(connection: socket.socket) -> None:
            while data := await receive(connection):
                await send(connection, data)

        async with anyio.create_task_group() as group:
            group.start_soon(_accept_all, listener, attend)
            yield Service(listener.getsockname()[1])
            group.cancel_scope.cancel()


@asynccontextmanager
async def proxy(*rules: str, resolve: Resolve | None = None, token: str | None = None) -> AsyncIterator[Entrance]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        entrance = Entrance(listener.getsockname()[1])

        async def refused(host: str, port: int, reason: str) -> None:
            entrance.refused.append((host, port, reason))

        dialer = Dialer([HostRule.parse(rule) for rule in rules], resolve)
        async with anyio.create_task_group() as group:
            group.start_soon(Proxy(dialer, refused, token).serve, listener)
            yield entrance
            group.cancel_scope.cancel()


def names(**addresses: str | Sequence[str]) -> Resolve:
    """Return a resolver that knows `NAME.example` for each given name, dots being written as underscores."""

    async def look_up(endpoint: Endpoint) -> Sequence[Address]:
        known = addresses[str(endpoint.host).removesuffix(".example").replace(".", "_")]
        return [ip_address(address) for address in ([known] if isinstance(known, str) else known)]

    return look_up


async def ask(port: int, request: bytes, *, end: bool = False) -> bytes:
    """Send it, and receive until the other side ends."""
    with anyio.fail_after(10):
        connection = await connect(port)
        with closing(connection):
            await send(connection, request)
            if end:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while data := await receive(connection):
                answer += data
            return answer


async def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setblocking(False)
    return connection


async def receive(connection: socket.socket) -> bytes:
    await anyio.wait_readable(connection)
    return connection.recv(65536)


async def receive_until(connection: socket.socket, end: bytes) -> bytes:
    """Return everything until `end` has come, or nothing more does."""
    heard = b""
    with anyio.fail_after(10):
        while end not in heard and (data := await receive(connection)):
            heard += data
    return heard


async def send(connection: socket.socket, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        await anyio.wait_writable(connection)
        rest = rest[connection.send(rest) :]


async def _accept_all(listener: socket.socket, attend: Handler) -> None:
    async def one(connection: socket.socket) -> None:
        with closing(connection):
            await attend(connection)

    listener.setblocking(False)
    async with anyio.create_task_group() as group:
        while True:
            await anyio.wait_readable(listener)
            connection, _ = listener.accept()
            connection.setblocking(False)
            group.start_soon(one, connection)
