"""Callback channel from a sandboxed command to this server: a loopback port that requires the run's token.

It exists while the command runs. In a network namespace of the command's own no other process can reach it. On the
host's loopback the token is not enough: the connecting process must also be a descendant of the command.
"""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from hmac import compare_digest
from secrets import token_urlsafe
from socket import create_server, socket
from typing import Self

import anyio
from anyio import to_thread
from anyio.abc import ByteStream

from server import json_rpc
from server.concurrency import in_background
from server.runner import process_tree
from server.runner.network.stream import SocketStream, accepted

_log = logging.getLogger(__name__)

BACKLOG = 16
CONNECTIONS = 8
"""Simultaneous connections; more wait. An agent needs one."""

TOKEN_BYTES = 32
TOKEN_SECONDS = 10.0
"""Deadline for sending the token: programs send it at once."""

WRONG_TOKEN = "a token was shown that is not the one of this run"  # noqa: S105
WRONG_PLACE = "the token was shown by a process outside the sandbox that it is for"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackChannel:
    """A port of the loopback, and the program in the sandbox that relays stdin and stdout to it."""

    port: int
    relay: tuple[str, ...]
    listener: socket | None = None
    """The listening socket on the host's loopback; None if the launcher opens it in a network of the command's own."""

    @classmethod
    def open(cls, relay: tuple[str, ...]) -> Self:
        """Open a channel on the host's loopback. The caller closes its listener."""
        listener = create_server(("127.0.0.1", 0), backlog=BACKLOG)
        return cls(port=listener.getsockname()[1], relay=relay, listener=listener)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackHandler:
    """Server side of a callback channel: its token and connection handler."""

    token: str = field(repr=False)
    """The token that is required: 43 characters, 256 random bits."""

    serve: Callable[[ByteStream], Awaitable[None]]
    """Serve one connection until it closes."""

    refused: Callable[[str], Awaitable[None]]
    """Called with the reason when a connection is refused."""

    def environment(self, channel: CallbackChannel) -> Mapping[str, str]:
        """Return the variables with the channel's address and token."""
        return {"REMIT_DOOR": f"127.0.0.1:{channel.port}", "REMIT_TOKEN": self.token}


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayProgram:
    """A program that relays stdio to the callback channel, and its variables."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)


def new_token() -> str:
    """Return a new token for the callback channels of one run."""
    return token_urlsafe(TOKEN_BYTES)


@asynccontextmanager
async def serving_channel(
    channel: CallbackChannel, listener: socket, handler: CallbackHandler, root: int
) -> AsyncIterator[None]:
    """Serve the channel while the block runs; `root` is the process number above the command."""
    listener.setblocking(False)
    callback_server = _CallbackServer(channel, handler, root)
    with closing(listener):
        async with in_background(partial(callback_server.serve, listener)):
            try:
                yield
            finally:
                await callback_server.close()


class _CallbackServer:
    def __init__(self, channel: CallbackChannel, handler: CallbackHandler, root: int) -> None:
        self._handler = handler
        self._digest = sha256(handler.token.encode()).digest()
        self._length = len(handler.token) + 1
        self._root = root
        self._is_shared = channel.listener is not None
        self._port = channel.port
        self._streams: set[SocketStream] = set()

    async def serve(self, listener: socket) -> None:
        slots = anyio.Semaphore(CONNECTIONS)
        async with anyio.create_task_group() as group:
            while True:
                await slots.acquire()
                group.start_soon(self._receive, await accepted(listener), slots)

    async def close(self) -> None:
        """Close all connections: sending to one that does not read would never end."""
        for stream in list(self._streams):
            await stream.aclose()

    async def _receive(self, connection: socket, slots: anyio.Semaphore) -> None:
        stream = SocketStream(connection)
        self._streams.add(stream)
        try:
            async with stream:
                await self._answer(stream, connection.getpeername()[1])
        except* (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
            pass  # the connection is closed
        except* Exception as errors:  # only types are logged, as a message might contain a secret; the run goes on
            _log.error(
                "a connection of the callback channel failed: %s",
                ", ".join(type(error).__name__ for error in errors.exceptions),
            )
        finally:
            self._streams.discard(stream)
            slots.release()

    async def _answer(self, stream: SocketStream, peer_port: int) -> None:
        if reason := await self._objection(stream, peer_port):
            await self._handler.refused(reason)
            await stream.send(_refusal(reason))
        else:
            await self._handler.serve(stream)

    async def _objection(self, stream: ByteStream, peer_port: int) -> str | None:
        shown = b""
        with anyio.move_on_after(TOKEN_SECONDS):
            while len(shown) < self._length:
                shown += await stream.receive(self._length - len(shown))
        if not shown.endswith(b"\n") or not compare_digest(sha256(shown[:-1]).digest(), self._digest):
            return WRONG_TOKEN
        if self._is_shared and not await to_thread.run_sync(_is_beneath, self._root, peer_port, self._port):
            return WRONG_PLACE
        return None


def _is_beneath(root: int, peer_port: int, channel_port: int) -> bool:
    """Return whether `root` or a descendant has the peer's end of a loopback connection open."""
    inode = _inode(peer_port, channel_port)
    return inode is not None and process_tree.holds(root, f"socket:[{inode}]")


def _inode(local_port: int, remote_port: int) -> str | None:
    """Return the inode of one end of a connection over 127.0.0.1, from /proc/net/tcp; see proc(5)."""
    wanted = tuple(f"0100007F:{port:04X}" for port in (local_port, remote_port))
    with open("/proc/net/tcp") as table:
        fields = (line.split() for line in table)
        return next((found[9] for found in fields if tuple(found[1:3]) == wanted), None)


def _refusal(reason: str) -> bytes:
    return json.dumps(json_rpc.error(None, reason, json_rpc.SERVER_ERROR)).encode() + b"\n"
