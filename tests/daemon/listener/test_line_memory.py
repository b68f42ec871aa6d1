"""The memory that lines take until they are whole: whose line is given up for whose."""

from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fcntl import ioctl
from termios import TIOCOUTQ

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketAttribute, SocketStream

from server.daemon import listener
from server.daemon.line_memory import LineMemory, LineShare
from server.daemon.paths import StatePaths
from server.limits import PIPE_BYTES
from tests.daemon.conftest import PATIENCE
from tests.daemon.listener.clients import Client, client, served

MOST = 5 * PIPE_BYTES
"""Bytes: a half line takes as many as it has, and a chunk more that it may be sent."""


@asynccontextmanager
async def small(paths: StatePaths, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Yield a daemon with room for few lines."""
    monkeypatch.setattr(listener, "LineMemory", lambda: LineMemory(MOST))
    async with served(paths):
        yield


async def _taken(peer: Client, size: int) -> None:
    """Send half a line of so many bytes, and return when they were read."""
    await peer.greet()
    await peer.stream.send(b'{"id": 7, "method": "echo", "params": {"text": "'.ljust(size, b"x"))
    await _read(peer.stream)


async def _read(stream: SocketStream) -> None:
    """Return when the other side has read all."""
    unread = array("i", [1])
    with anyio.fail_after(PATIENCE):
        while unread[0]:
            await anyio.lowlevel.checkpoint()
            ioctl(stream.extra(SocketAttribute.raw_socket).fileno(), TIOCOUTQ, unread)


async def test_the_half_line_that_has_waited_longest_is_given_up_and_its_sender_told(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with small(paths, monkeypatch), client(paths) as first, client(paths) as second:
        await _taken(first, 2 * PIPE_BYTES)
        await _taken(second, 2 * PIPE_BYTES)
        error = (await first.receive())["error"]
        assert "send it without a pause" in error["message"]
        await first.ended()


async def test_a_line_passes_that_is_sent_while_others_stand_still(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with small(paths, monkeypatch), client(paths) as still, client(paths) as peer:
        await _taken(peer, PIPE_BYTES + 1)
        await _taken(still, PIPE_BYTES + 1)
        await peer.stream.send(b"x" * PIPE_BYTES)
        await peer.stream.send(b'"}}\n')
        assert (await peer.receive())["id"] == 7


async def test_whole_lines_are_waited_for_and_not_given_up() -> None:
    line_memory = LineMemory(MOST)
    order: list[str] = []

    async def gather(share: LineShare) -> None:
        with share.gathered():
            await share.grow(MOST)
        order.append("has room")

    with line_memory.share() as half:
        async with anyio.create_task_group() as group:
            with line_memory.share() as whole:
                with whole.gathered():
                    await whole.grow(MOST)
                group.start_soon(gather, half)
                for _ in range(10):
                    await anyio.lowlevel.checkpoint()
                order.append("is understood")
        assert not whole.is_given_up
    assert order == ["is understood", "has room"]
