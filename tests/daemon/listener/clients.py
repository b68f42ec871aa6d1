"""Raw clients of the socket, and a server in the test's own process that they meet."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from server.daemon.handshake import MAX_LINE, PROTOCOL
from server.daemon.listener import serve
from server.daemon.ownership import Ownership
from server.daemon.paths import StatePaths
from server.errors import RemitError
from tests.daemon.conftest import PATIENCE
from tests.daemon.stand_in import Obedient

HELLO = {"protocol": PROTOCOL, "version": "1.2.3", "op": "connect", "role": "pipe", "cwd": "/", "settings": ""}


class Client:
    """A raw client of the socket, without the hello."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self._lines = BufferedByteReceiveStream(stream)

    async def send(self, message: dict[str, Any]) -> None:
        await self.stream.send(json.dumps(message).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        with anyio.fail_after(PATIENCE):
            answer: dict[str, Any] = json.loads(await self._lines.receive_until(b"\n", 2 * MAX_LINE))
        return answer

    async def greet(self, **fields: Any) -> dict[str, Any]:
        await self.send({"remit": HELLO | fields})
        greeting: dict[str, Any] = (await self.receive())["remit"]
        return greeting

    async def call(self, key: int, method: str, **params: Any) -> dict[str, Any]:
        await self.send({"id": key, "method": method, "params": params})
        return await self.receive()

    async def ended(self) -> None:
        """Return when the server has closed the connection."""
        with anyio.fail_after(PATIENCE), suppress(anyio.BrokenResourceError):
            async for _ in self.stream:
                pass


@asynccontextmanager
async def client(paths: StatePaths) -> AsyncIterator[Client]:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(paths.socket)
    async with await SocketStream.from_socket(connection) as stream:
        yield Client(stream)


@asynccontextmanager
async def served(paths: StatePaths, idle_exit: float = 900) -> AsyncIterator[Obedient]:
    """Yield a daemon at work; at the end of the block it must be gone, by itself or by being cancelled."""
    application = Obedient()
    ready = anyio.Event()

    async def run() -> None:
        with Ownership(paths) as ownership:
            await serve(
                application,
                ownership=ownership,
                version="1.2.3",
                settings_digest="cafe",
                idle_exit=idle_exit,
                ready=ready.set,
            )

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        with anyio.fail_after(PATIENCE):
            await ready.wait()
        yield application
        group.cancel_scope.cancel()


async def stopped(paths: StatePaths) -> None:
    """Return when nobody owns the state folder any more."""
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                with Ownership(paths):
                    return
            except RemitError:
                await anyio.lowlevel.checkpoint()
