"""A connected socket as a stream without a buffer of ours: what nobody takes, the kernel keeps, and then takes no more.

anyio's own reads ahead of whoever receives, as much as the other side sends; here that is an adversary.
"""

from collections.abc import Mapping
from socket import IPPROTO_TCP, SHUT_WR, TCP_NODELAY, socket
from typing import Any

import anyio
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

BREATHER_SECONDS = 0.1  # when this process has no descriptor left


async def accepted(listener: socket) -> socket:
    """The next connection to a listener; neither of them blocks."""
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            await anyio.wait_readable(listener)
        except OSError:
            await anyio.sleep(BREATHER_SECONDS)
        else:
            connection.setblocking(False)
            connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            return connection


class SocketStream(ByteStream):
    """Owns the socket."""

    def __init__(self, connection: socket) -> None:
        connection.setblocking(False)
        self._connection = connection

    @property
    def extra_attributes(self) -> Mapping[Any, Any]:
        """None."""
        return {}

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """What comes next. Raises EndOfStream, BrokenResourceError, or ClosedResourceError after `aclose`."""
        await checkpoint()
        while True:
            try:
                data = self._connection.recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._connection)
            except OSError as error:
                raise self._gone() from error
            else:
                if not data:
                    raise anyio.EndOfStream
                return data

    async def send(self, item: bytes) -> None:
        """Hand all of it to the kernel. Raises as `receive`."""
        await checkpoint()
        rest = memoryview(item)
        while rest:
            try:
                rest = rest[self._connection.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._connection)
            except OSError as error:
                raise self._gone() from error

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        self._connection.shutdown(SHUT_WR)

    async def aclose(self) -> None:
        """Close it; whoever waits on it is let go."""
        if self._connection.fileno() >= 0:
            anyio.notify_closing(self._connection)
            self._connection.close()

    def _gone(self) -> Exception:
        return anyio.ClosedResourceError() if self._connection.fileno() < 0 else anyio.BrokenResourceError()
