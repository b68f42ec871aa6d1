"""Callback channel from a sandboxed command to this server: a loopback port that requires the run's token.

It is there as long as the command is. In a network namespace of the command's own nobody else can come to it; elsewhere
the token is not enough: whoever connects must be a process of the command.
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

from server.concurrency import in_background
from server.runner import process_tree
from server.runner.network.stream import SocketStream, accepted

_log = logging.getLogger(__name__)

BACKLOG = 16
CONNECTIONS = 8
"""At the same time; an agent needs one, and more wait."""

TOKEN_BYTES = 32
TOKEN_SECONDS = 10.0
"""For the token to be shown: programs do so at once."""

WRONG_TOKEN = "a token was shown that is not the one of this run"  # noqa: S105
WRONG_PLACE = "the token was shown by a process outside the sandbox that it is for"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackChannel:
    """A port of the loopback, and the program in the sandbox that relays stdin and stdout to it."""

    port: int
    relay: tuple[str, ...]
    listener: socket | None = None
    """What listens on the machine's loopback; None where only the launcher can, in a network of the command's own."""

    @classmethod
    def open(cls, relay: tuple[str, ...]) -> Self:
        """One on this machine's loopback, whose listener is the caller's to close."""
        listener = create_server(("127.0.0.1", 0), backlog=BACKLOG)
        return cls(port=listener.getsockname()[1], relay=relay, listener=listener)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackHandler:
    """Server side of a callback channel: its token and connection handler."""

    token: str = field(repr=False)
    """The token that is required: 43 characters, 256 random bits."""

    serve: Callable[[ByteStream], Awaitable[None]]
    """Talk to a visitor until they leave."""

    refused: Callable[[str], Awaitable[None]]
    """Told why somebody was not let in."""

    def environment(self, channel: CallbackChannel) -> Mapping[str, str]:
        """The variables by which a program finds the channel and authenticates."""
        return {"REMIT_DOOR": f"127.0.0.1:{channel.port}", "REMIT_TOKEN": self.token}


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayProgram:
    """A program that relays stdio to the callback channel, and its variables."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)


def new_token() -> str:
    """A token for the callback channels of one run."""
    return token_urlsafe(TOKEN_BYTES)


@asynccontextmanager
async def serving_channel(
    channel: CallbackChannel, listener: socket, handler: CallbackHandler, root: int
) -> AsyncIterator[None]:
    """Serve the channel while the body runs; `root` is the process that the command is beneath."""
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
        self._visitors: set[SocketStream] = set()

    async def serve(self, listener: socket) -> None:
        places = anyio.Semaphore(CONNECTIONS)
        async with anyio.create_task_group() as group:
            while True:
                await places.acquire()
                group.start_soon(self._receive, await accepted(listener), places)

    async def close(self) -> None:
        """Close on whoever is here: what is being sent to one that does not read would never end."""
        for visitor in list(self._visitors):
            await visitor.aclose()

    async def _receive(self, connection: socket, places: anyio.Semaphore) -> None:
        visitor = SocketStream(connection)
        self._visitors.add(visitor)
        try:
            async with visitor:
                await self._answer(visitor, connection.getpeername()[1])
        except* (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
            pass  # whoever came is gone
        except* Exception as errors:  # its message might hold a secret; the run goes on
            _log.error("a visitor was not answered: %s", ", ".join(type(error).__name__ for error in errors.exceptions))
        finally:
            self._visitors.discard(visitor)
            places.release()

    async def _answer(self, visitor: SocketStream, peer_port: int) -> None:
        if reason := await self._objection(visitor, peer_port):
            await self._handler.refused(reason)
            await visitor.send(_refusal(reason))
        else:
            await self._handler.serve(visitor)

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
    """Whether the peer's end of a connection over the loopback is held by a process beneath `root`."""
    inode = _inode(peer_port, channel_port)
    return inode is not None and process_tree.holds(root, f"socket:[{inode}]")


def _inode(local_port: int, remote_port: int) -> str | None:
    """The inode of one end of a connection over 127.0.0.1; proc(5), /proc/net/tcp."""
    wanted = tuple(f"0100007F:{port:04X}" for port in (local_port, remote_port))
    with open("/proc/net/tcp") as table:
        fields = (line.split() for line in table)
        return next((found[9] for found in fields if tuple(found[1:3]) == wanted), None)


def _refusal(reason: str) -> bytes:
    error = {"code": -32000, "message": reason}
    return json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode() + b"\n"
