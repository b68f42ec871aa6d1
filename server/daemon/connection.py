"""Connections to this server: the peer, and the lines received from it and sent to it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteStream

from server import json_rpc
from server.daemon.handshake import MAX_LINE
from server.daemon.line_memory import LineMemory, LineShare
from server.daemon.peers import Standing
from server.limits import PIPE_BYTES
from server.line_buffer import LineBuffer

_GIVEN_UP = "this message was not whole when the memory for messages was needed by others; send it without a pause"


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end: uid and pid as the kernel reports them, the rest as the peer says."""

    uid: int
    pid: int
    role: str
    cwd: Path | None
    standing: Standing = Standing.CALLER
    """What the kernel's facts allow it to be."""
    variables: Mapping[str, str] | None = None
    """A checksum of each `REMIT_*` variable of its environment, by name; None if its version does not send them."""
    person_only: frozenset[str] = frozenset()
    """The settings among `handshake.WISHES` that it wants to be `person`."""


class Connection:
    """A peer's socket, read line by line; unfinished lines share one memory limit with those of other connections."""

    def __init__(self, stream: ByteStream, peer: Peer, line_memory: LineMemory, *, max_line: int = MAX_LINE) -> None:
        self.peer = peer
        self._max_line = max_line
        self._stream = stream
        self._line_memory = line_memory
        self._lines = LineBuffer()
        self._sending = anyio.Lock()

    async def receive_line(self, max_line: int | None = None) -> bytes | None:
        """Return the next line, without its newline; None when the peer is done, or its line was refused.

        A line is refused if it exceeds `max_line` bytes, or was dropped for lack of memory. The last one need not have
        a newline.
        """
        async with self.line(max_line) as line:
            return line

    @asynccontextmanager
    async def line(self, max_line: int | None = None) -> AsyncIterator[bytes | None]:
        """Yield the next line as `receive_line` does; its memory is counted until the block ends."""
        with self._line_memory.share() as share:
            yield await self._next_line(share, max_line or self._max_line)

    async def send_line(self, line: bytes) -> None:
        """Send a line and a newline; completely, even if the caller is cancelled meanwhile.

        Raises:
            anyio.BrokenResourceError: the peer is gone.
            anyio.ClosedResourceError: the connection was closed on this side.
        """
        async with self._sending:
            with anyio.CancelScope(shield=True):
                await self._stream.send(line + b"\n")

    async def aclose(self) -> None:
        """Close the connection; a line being sent is abandoned."""
        await self._stream.aclose()

    async def _next_line(self, share: LineShare, most: int) -> bytes | None:
        with share.gathered():
            return await self._gather(share, most)
        await self._refuse(_GIVEN_UP)
        return None

    async def _gather(self, share: LineShare, most: int) -> bytes | None:
        while (line := self._lines.next()) is None:
            if (size := len(self._lines)) > most:
                limit = f"{most // 1024**2} MiB" if most >= 1024**2 else f"{most // 1024} KiB"
                await self._refuse(f"a message may be at most {limit} long")
                return None
            if size:
                await share.grow(size + PIPE_BYTES)
            try:
                self._lines.add(await self._stream.receive(PIPE_BYTES))
            except anyio.EndOfStream:
                return self._lines.rest() or None
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return None
        return line

    async def _refuse(self, reason: str) -> None:
        self._lines = LineBuffer()
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self.send_line(json.dumps(json_rpc.error(None, reason, json_rpc.INVALID_REQUEST)).encode())
        await self.aclose()
