"""A stream over a connected socket that never reads ahead, so that the kernel's buffers bound what a peer can send.

anyio's own stream buffers whatever the peer sends before it is received; here the peer is an adversary.
"""

from collections.abc import Callable, Mapping
from socket import IPPROTO_TCP, SHUT_WR, TCP_NODELAY, socket
from typing import Any

import anyio
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

from server.limits import PIPE_BYTES

RETRY_SECONDS = 0.1  # after an error of accept(2), such as too many open files


async def accepted(listener: socket) -> socket:
    """Accept the next connection of a non-blocking listener; the returned socket is non-blocking, too."""
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            await anyio.wait_readable(listener)
        except OSError:
            await anyio.sleep(RETRY_SECONDS)
        else:
            connection.setblocking(False)
            connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            return connection


def _nothing() -> None:
    pass


class SocketStream(ByteStream):
    """A byte stream over a connected socket, which it owns and closes. What was sent is with the kernel.

    `moved` is called for each piece that was received or sent.
    """

    def __init__(self, connection: socket, moved: Callable[[], None] = _nothing) -> None:
        connection.setblocking(False)
        self._connection, self._moved = connection, moved

    @property
    def extra_attributes(self) -> Mapping[Any, Any]:
        """No attributes."""
        return {}

    async def receive(self, max_bytes: int = PIPE_BYTES) -> bytes:
        """Return the next bytes. Raises EndOfStream, BrokenResourceError, or ClosedResourceError after `aclose`."""
        await checkpoint()
        while True:
            try:
                data = self._connection.recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._connection)
            except OSError as error:
                raise self._gone() from error
            else:
                self._moved()
                if not data:
                    raise anyio.EndOfStream
                return data

    async def send(self, item: bytes) -> None:
        """Hand all of `item` to the kernel. Raises BrokenResourceError, or ClosedResourceError after `aclose`."""
        await checkpoint()
        rest = memoryview(item)
        while rest:
            try:
                rest = rest[self._connection.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._connection)
            except OSError as error:
                raise self._gone() from error
            else:
                self._moved()

    async def send_eof(self) -> None:
        """Close the sending direction. Raises BrokenResourceError, or ClosedResourceError after `aclose`."""
        try:
            self._connection.shutdown(SHUT_WR)
        except OSError as error:
            raise self._gone() from error

    async def aclose(self) -> None:
        """Close the socket; pending calls raise ClosedResourceError."""
        if self._connection.fileno() >= 0:
            anyio.notify_closing(self._connection)
            self._connection.close()

    def _gone(self) -> Exception:
        return anyio.ClosedResourceError() if self._connection.fileno() < 0 else anyio.BrokenResourceError()
