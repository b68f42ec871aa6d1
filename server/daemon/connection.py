"""A connection to this server: who is at its other end, and the lines that come and go on it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteStream

from server.daemon.handshake import MAX_LINE
from server.daemon.line_memory import LineMemory, LineShare
from server.daemon.peers import Standing

CHUNK = 65536  # bytes read at once

_GIVEN_UP = "this message was not whole when the memory for messages was needed by others; send it without a pause"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: uid and pid as the kernel knows them, the rest as the peer says."""

    uid: int
    pid: int
    role: str
    cwd: Path | None
    standing: Standing = Standing.CALLER
    """What the kernel lets it be taken for."""
    variables: Mapping[str, str] | None = None
    """A checksum for each `REMIT_*` variable of its environment, by name; None if it is too old to say."""
    person_only: frozenset[str] = frozenset()
    """The settings among `hello.WISHES` that it wants to be `person`."""


class Connection:
    """A peer's socket, cut into lines, which `gathering` counts among those of others."""

    def __init__(self, stream: ByteStream, peer: Peer, line_memory: LineMemory, *, max_line: int = MAX_LINE) -> None:
        self.peer = peer
        self._max_line = max_line
        self._stream = stream
        self._line_memory = line_memory
        self._received = bytearray()
        self._sending = anyio.Lock()

    async def receive_line(self, max_line: int | None = None) -> bytes | None:
        """The next line, without its newline; None when the peer is done, or sent a line that is not taken.

        That is one of more than `max_line` bytes, or one that was given up for others. The last one need not have a
        newline.
        """
        async with self.line(max_line) as line:
            return line

    @asynccontextmanager
    async def line(self, max_line: int | None = None) -> AsyncIterator[bytes | None]:
        """The same, which counts among the lines that take memory as long as the block lasts."""
        with self._line_memory.share() as share:
            yield await self._next_line(share, max_line or self._max_line)

    async def send_line(self, line: bytes) -> None:
        """Send a line, and the newline after it; whole, even if the caller is cancelled meanwhile.

        Raises:
            anyio.BrokenResourceError: the peer is gone.
            anyio.ClosedResourceError: the connection was closed on this side.
        """
        async with self._sending:
            with anyio.CancelScope(shield=True):
                await self._stream.send(line + b"\n")

    async def aclose(self) -> None:
        """Close the connection; a line being sent is given up."""
        await self._stream.aclose()

    async def _next_line(self, share: LineShare, most: int) -> bytes | None:
        with share.gathered():
            return await self._gather(share, most)
        await self._refuse(_GIVEN_UP)
        return None

    async def _gather(self, share: LineShare, most: int) -> bytes | None:
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > most:
                size = f"{most // 1024**2} MiB" if most >= 1024**2 else f"{most // 1024} KiB"
                await self._refuse(f"a message may be at most {size} long")
                return None
            if searched:
                await share.grow(searched + CHUNK)
            try:
                self._received += await self._stream.receive(CHUNK)
            except anyio.EndOfStream:
                return self._taken(len(self._received)) or None
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return None
        return self._taken(end)

    def _taken(self, end: int) -> bytes:
        """What was received up to `end`, and no newline that stands there."""
        with memoryview(self._received) as received, received[:end] as beginning:
            line = bytes(beginning)
        del self._received[: end + 1]
        return line

    async def _refuse(self, reason: str) -> None:
        self._received.clear()
        error = {"code": -32600, "message": reason}
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self.send_line(json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode())
        await self.aclose()
