"""The HTTP proxy through which a command reaches its allowed hosts, and nothing else.

It runs in the server, on a port that only the command can use. A connection carries one request, so that each request
is checked, and no response can be matched to the wrong one.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from hmac import compare_digest
from http import HTTPStatus
from socket import socket

import anyio
import h11

from server.concurrency import in_background
from server.runner.network.dialer import Dialer, HostRefused
from server.runner.network.exchange import (
    PEER_GONE,
    HttpPeer,
    close_gracefully,
    forward,
    idle_limited,
    receive_head,
    tunnel,
)
from server.runner.network.gateway import USER, Report
from server.runner.network.hosts import Endpoint, HostRule
from server.runner.network.request import Rejected, check_head, destination, forwarded, malformed
from server.runner.network.stream import accepted

CONNECTIONS = 64  # simultaneous ones, of two descriptors each; more wait. A package manager opens about 15
REPORTS = 100  # refused hosts that are reported, each once: a command could go on for ever

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@asynccontextmanager
async def serving(
    listener: socket, rules: Sequence[HostRule], token: str | None, refused: Report
) -> AsyncIterator[None]:
    """Serve a proxy on `listener` for the hosts that `rules` admit, while the block runs.

    An error of the block is raised as it is, not in an exception group; an error of `refused` ends the block.
    """
    async with in_background(partial(Proxy(Dialer(rules), refused, token).serve, listener)):
        yield


class Proxy:
    """The proxy of one command. With a token, it serves only clients that send it as their password."""

    def __init__(self, dialer: Dialer, refused: Report, token: str | None = None) -> None:
        self._dialer = dialer
        self._refused = refused
        self._credentials = b64encode(f"{USER}:{token}".encode()) if token else None
        self._reported: set[Endpoint] = set()

    async def serve(self, listener: socket) -> None:
        """Serve every connection to `listener`, until cancelled."""
        listener.setblocking(False)
        slots = anyio.Semaphore(CONNECTIONS)
        async with anyio.create_task_group() as group:
            while True:
                await slots.acquire()
                group.start_soon(self._serve_connection, await accepted(listener), slots)

    async def _serve_connection(self, connection: socket, slots: anyio.Semaphore) -> None:
        try:
            with closing(connection), anyio.CancelScope() as scope:
                await self._answer(connection, scope)
        except* PEER_GONE:
            pass  # the client has disconnected
        finally:
            slots.release()

    async def _answer(self, connection: socket, scope: anyio.CancelScope) -> None:
        client = HttpPeer(idle_limited(connection, scope), h11.SERVER, malformed("the request is malformed"))
        rejected: Rejected | None = None
        try:
            await self._exchange(client, scope)
        except* Rejected as group:
            rejected = _first(group)
        if rejected and not client.has_been_answered:
            await client.stream.send(rejected.encode())
        await close_gracefully(client.stream)

    async def _exchange(self, client: HttpPeer, scope: anyio.CancelScope) -> None:
        head, ahead = await receive_head(client.stream)
        check_head(head)
        client.feed(head)
        request = await client.receive()
        assert isinstance(request, h11.Request)
        self._authenticate(request)
        endpoint = destination(request)
        with closing(await self._dial(endpoint)) as connection:
            host = HttpPeer(
                idle_limited(connection, scope),
                h11.CLIENT,
                Rejected(HTTPStatus.BAD_GATEWAY, f"the answer of {endpoint} is malformed"),
            )
            if request.method == b"CONNECT":
                await client.stream.send(_ESTABLISHED)
                await host.stream.send(ahead)
                await tunnel(client.stream, host.stream)
            else:
                if ahead:
                    client.feed(ahead)
                await forward(forwarded(request, endpoint), client, host)

    def _authenticate(self, request: h11.Request) -> None:
        if self._credentials is None:
            return
        shown = [value.partition(b" ")[2] for name, value in request.headers if name == b"proxy-authorization"]
        if not any(compare_digest(each, self._credentials) for each in shown):
            challenge = 'Proxy-Authenticate: Basic realm="remit"'
            text = "this proxy serves one task, which finds the way to it in HTTPS_PROXY"
            raise Rejected(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, text, challenge)

    async def _dial(self, endpoint: Endpoint) -> socket:
        try:
            return await self._dialer.dial(endpoint)
        except HostRefused as refusal:
            await self._report(endpoint, str(refusal))
            text = f'{endpoint} {refusal}; to allow it, add "{refusal.rule}" to the setting "network" of the agent'
            raise Rejected(HTTPStatus.FORBIDDEN, text) from None
        except TimeoutError:
            raise Rejected(HTTPStatus.GATEWAY_TIMEOUT, f"{endpoint} does not answer") from None
        except OSError as error:
            raise Rejected(HTTPStatus.BAD_GATEWAY, f"{endpoint} cannot be reached: {error.strerror or error}") from None

    async def _report(self, endpoint: Endpoint, reason: str) -> None:
        if endpoint not in self._reported and len(self._reported) < REPORTS:
            self._reported.add(endpoint)
            await self._refused(str(endpoint.host), endpoint.port, reason)


def _first(group: ExceptionGroup[Rejected]) -> Rejected:
    first = group.exceptions[0]
    assert isinstance(first, Rejected)
    return first
