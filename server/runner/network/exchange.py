"""The exchange between a proxy's client and a host: a tunnel of bytes, or forwarded HTTP messages."""

from http import HTTPStatus
from socket import socket

import anyio
import h11

from server.runner.network.request import HEAD_BYTES, Answer, Rejected, answered
from server.runner.network.stream import SocketStream

CLOSE_SECONDS = 2.0  # for the other side to read the answer and close; what it still sends is discarded

HEAD_SECONDS = 30.0
"""Deadline for the head of a request: programs send it at once."""

IDLE_SECONDS = 900.0
"""Time without a byte in either direction: clients of model APIs wait 600 s for the first one."""


PEER_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
"""The errors of a connection that has ended."""


def idle_limited(connection: socket, scope: anyio.CancelScope) -> SocketStream:
    """Return the stream of a connection, on which every piece extends the deadline of `scope`: it ends an idle one."""

    def extend_deadline() -> None:
        scope.deadline = anyio.current_time() + IDLE_SECONDS

    extend_deadline()
    return SocketStream(connection, extend_deadline)


async def close_gracefully(stream: SocketStream) -> None:
    """Close the sending direction and wait for the peer to close, at most CLOSE_SECONDS. Raises PEER_GONE.

    TCP resets a connection that is closed with unread bytes, and the peer then loses what was sent.
    """
    await stream.send_eof()
    with anyio.move_on_after(CLOSE_SECONDS):
        async for _ in stream:
            pass


class HttpPeer:
    """One side of an exchange and its HTTP state; `fault` is raised for a malformed message."""

    def __init__(self, stream: SocketStream, role: type[h11.CLIENT] | type[h11.SERVER], fault: Rejected) -> None:
        self.stream = stream
        self._http = h11.Connection(role, max_incomplete_event_size=HEAD_BYTES)
        self._fault = fault

    @property
    def has_been_answered(self) -> bool:
        """Whether part of a final response has been sent to it."""
        return self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE)

    @property
    def is_modern(self) -> bool:
        """Whether it understands informational (1xx) responses: HTTP/1.1."""
        return self._http.their_http_version == b"1.1"

    def feed(self, data: bytes) -> None:
        """Process received bytes; empty at the end of the connection."""
        self._http.receive_data(data)

    async def receive(self) -> h11.Event:
        """Return the next part of its message. Raises Rejected for a malformed one, PEER_GONE."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                raise self._fault from None
            if isinstance(event, h11.Event):
                return event
            self.feed(await _received(self.stream))

    async def send(self, event: h11.Event) -> None:
        """Send a part of a message. Raises PEER_GONE."""
        if data := self._http.send(event):
            await self.stream.send(data)


async def _received(stream: SocketStream) -> bytes:
    """Return the next bytes; empty at the end of the stream."""
    try:
        return await stream.receive()
    except anyio.EndOfStream:
        return b""


async def receive_head(stream: SocketStream) -> tuple[bytes, bytes]:
    """Return the head of a request, and the bytes after it. Raises Rejected if it is too large or late; PEER_GONE."""
    data = bytearray()
    with anyio.move_on_after(HEAD_SECONDS):
        while len(data) < HEAD_BYTES:
            searched = max(len(data) - 3, 0)
            data += await stream.receive()
            if (end := data.find(b"\r\n\r\n", searched, HEAD_BYTES)) >= 0:
                return bytes(data[: end + 4]), bytes(data[end + 4 :])
        raise Rejected(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head is larger than {HEAD_BYTES} bytes")
    raise Rejected(HTTPStatus.REQUEST_TIMEOUT, f"the head did not come within {HEAD_SECONDS:.0f} seconds")


async def tunnel(client: SocketStream, host: SocketStream) -> None:
    """Copy bytes both ways until both sides have closed. Raises PEER_GONE."""
    async with anyio.create_task_group() as group:
        group.start_soon(_copy, client, host)
        group.start_soon(_copy, host, client)


async def _copy(source: SocketStream, sink: SocketStream) -> None:
    async for data in source:
        await sink.send(data)
    await sink.send_eof()


async def forward(request: h11.Request, client: HttpPeer, host: HttpPeer) -> None:
    """Send `request` and its body to the host, and the response to the client. Raises Rejected, PEER_GONE."""
    async with anyio.create_task_group() as group:
        group.start_soon(_pass_request, request, client, host)
        await _pass_response(host, client)
        group.cancel_scope.cancel()


async def _pass_request(request: h11.Request, client: HttpPeer, host: HttpPeer) -> None:
    event: h11.Event = request
    while True:
        try:
            await host.send(event)
        except PEER_GONE:
            return  # the host may respond before it has read the whole request
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
    """Drop trailers: headers after the body, which no check covers."""
    return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event
