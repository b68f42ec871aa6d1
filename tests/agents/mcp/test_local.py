"""Reading an MCP server in the sandbox: line by line, with a time limit."""

from collections import deque

import anyio
import pytest
from mcp.shared.message import SessionMessage

from server.agents.mcp.local import _receive
from server.json_text import MAX_VALUES
from server.runner.network.callback import RelayProgram
from server.runner.policy import Exit

pytestmark = pytest.mark.anyio

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'


class Program:
    """Says these chunks. Implements `ProcessIO`."""

    relay: RelayProgram | None = None
    last_words = ""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = deque(chunks)

    async def send(self, data: bytes) -> None:
        raise NotImplementedError

    async def receive(self) -> bytes:
        return self._chunks.popleft() if self._chunks else b""

    async def close_input(self) -> None:
        raise NotImplementedError

    async def ended(self) -> Exit:
        raise NotImplementedError


async def heard(program: Program) -> list[SessionMessage | Exception]:
    arriving, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](100)
    with incoming:
        await _receive(program, arriving)
        return [message async for message in incoming]


async def test_lines_are_messages_however_they_are_cut() -> None:
    found = await heard(Program(PING[:9], PING[9:] + PING + PING[:1], PING[1:]))
    assert [type(message) for message in found] == [SessionMessage] * 3


async def test_a_line_of_too_many_values_is_the_last() -> None:
    many = b"[" + b"0," * (MAX_VALUES + 1) + b"0]\n"
    assert len(await heard(Program(PING, many, PING))) == 1
