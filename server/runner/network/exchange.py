"""Bytes between a client and the host it asked for: as they are, or as messages of HTTP."""

from http import HTTPStatus
from socket import SHUT_WR, socket

import anyio
import h11
from anyio.lowlevel import checkpoint

from server.runner.network.request import HEAD_BYTES, Answer, Rejected, answered

CHUNK_BYTES = 65536
FAREWELL_SECONDS = 2.0  # to read an answer, while what still comes is thrown away

HEAD_SECONDS = 30.0
"""Until the head of a request must have come: programs send it at once."""

IDLE_SECONDS = 900.0
"""Without a byte either way: clients of model APIs wait 600 s for the first one."""


class PeerGone(Exception):
    """Who was to be listened to, or spoken to, has left."""


class UnbufferedSocket:
    """A connected socket, read and written without buffers of our own: what was sent is the kernel's to deliver.

    Every byte that moves puts off the end of `scope`, which is what ends an idle exchange.
    """

    def __init__(self, connection: socket, scope: anyio.CancelScope) -> None:
        self._connection, self._scope = connection, scope
        self._moved()

    async def receive(self) -> bytes:
        """What comes next; nothing at the end. Raises Gone if the connection broke."""
        await checkpoint()
        while True:
            try:
                data = self._connection.recv(CHUNK_BYTES)
            except BlockingIOError:
                await anyio.wait_readable(self._connection)
            except OSError as error:
                raise PeerGone from error
            else:
                self._moved()
                return data

    async def send(self, data: bytes) -> None:
        """Hand all of it to the kernel. Raises Gone if nobody takes it."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._connection.send(rest) :]
                self._moved()
            except BlockingIOError:
                await anyio.wait_writable(self._connection)
            except OSError as error:
                raise PeerGone from error

    def end(self) -> None:
        """Say that nothing more will be sent. Raises Gone if the connection broke."""
        try:
            self._connection.shutdown(SHUT_WR)
        except OSError as error:
            raise PeerGone from error

    async def part(self) -> None:
        """End, and stay until the other side has, since closing on unread bytes would take back what was sent."""
        self.end()
        with anyio.move_on_after(FAREWELL_SECONDS):
            while await self.receive():
                pass

    def _moved(self) -> None:
        self._scope.deadline = anyio.current_time() + IDLE_SECONDS


class HttpPeer:
    """One side of an exchange, and the HTTP it speaks; `fault` is the answer when it makes no sense."""

    def __init__(self, line: UnbufferedSocket, role: type[h11.CLIENT] | type[h11.SERVER], fault: Rejected) -> None:
        self.line = line
        self._http = h11.Connection(role, max_incomplete_event_size=HEAD_BYTES)
        self._fault = fault

    @property
    def has_been_answered(self) -> bool:
        """Whether some of an answer, beyond a provisional one, has been sent to it."""
        return self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE)

    @property
    def is_modern(self) -> bool:
        """Whether it understands provisional answers."""
        return self._http.their_http_version == b"1.1"

    def hear(self, data: bytes) -> None:
        """Take what it said; nothing means that it ended."""
        self._http.receive_data(data)

    async def receive(self) -> h11.Event:
        """The next part of its message. Raises Rejected, or Gone."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                raise self._fault from None
            if isinstance(event, h11.Event):
                return event
            self.hear(await self.line.receive())

    async def send(self, event: h11.Event) -> None:
        """Raises Gone."""
        if data := self._http.send(event):
            await self.line.send(data)


async def receive_head(line: UnbufferedSocket) -> tuple[bytes, bytes]:
    """The head of a request, and what came right after it. Raises Rejected, or Gone."""
    data = bytearray()
    with anyio.move_on_after(HEAD_SECONDS):
        while len(data) < HEAD_BYTES:
            searched = max(len(data) - 3, 0)
            data += await _more(line)
            if (end := data.find(b"\r\n\r\n", searched, HEAD_BYTES)) >= 0:
                return bytes(data[: end + 4]), bytes(data[end + 4 :])
        raise Rejected(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head is larger than {HEAD_BYTES} bytes")
    raise Rejected(HTTPStatus.REQUEST_TIMEOUT, f"the head did not come within {HEAD_SECONDS:.0f} seconds")


async def _more(line: UnbufferedSocket) -> bytes:
    if data := await line.receive():
        return data
    raise PeerGone


async def tunnel(client: UnbufferedSocket, host: UnbufferedSocket) -> None:
    """Pass bytes both ways until both have ended."""
    async with anyio.create_task_group() as group:
        group.start_soon(_copy, client, host)
        group.start_soon(_copy, host, client)


async def _copy(source: UnbufferedSocket, sink: UnbufferedSocket) -> None:
    while data := await source.receive():
        await sink.send(data)
    sink.end()


async def forward(request: h11.Request, client: HttpPeer, host: HttpPeer) -> None:
    """Pass `request` and the body that follows to the host, and its answer back."""
    async with anyio.create_task_group() as group:
        group.start_soon(_pass_request, request, client, host)
        await _pass_response(host, client)
        group.cancel_scope.cancel()


async def _pass_request(request: h11.Request, client: HttpPeer, host: HttpPeer) -> None:
    event: h11.Event = request
    while True:
        try:
            await host.send(event)
        except PeerGone:
            return  # it may have answered before it heard the end
        if isinstance(event, h11.EndOfMessage):
            return
        event = _without_trailers(await client.receive())


async def _pass_response(host: HttpPeer, client: HttpPeer) -> None:
    event = None
    while not isinstance(event, h11.EndOfMessage):
        event = _without_trailers(await host.receive())
        if isinstance(event, Answer):
            event = answered(event)
        if client.is_modern or not isinstance(event, h11.InformationalResponse):
            await client.send(event)


def _without_trailers(event: h11.Event) -> h11.Event:
    """Headers after the body escape every check of headers."""
    return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event
