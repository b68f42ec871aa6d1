"""Transport to an MCP server that is a program in the sandbox: a line of JSON for each message."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage

from server.agents.interface import Program, Turn
from server.agents.mcp.servers import Local
from server.concurrency import in_background
from server.json_text import holds_too_many
from server.runner.dialogue import ProcessIO
from server.threads import READING, computed

MAX_LINE = 8 * 1024**2
"""Bytes of one message: far above what a model can take in."""


@asynccontextmanager
async def transport(turn: Turn, server: Local) -> AsyncIterator[TransportStreams]:
    """Yield the streams of messages from and to the server, which runs while the block does."""
    program = Program(argv=server.argv, env=server.env, hosts=server.hosts, inherits=False)
    async with turn.talk(program) as process_io:
        arriving, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, leaving = anyio.create_memory_object_stream[SessionMessage](0)

        async def receive() -> None:
            await _receive(process_io, arriving)

        async def send() -> None:
            await _send(process_io, leaving)

        with arriving, incoming, outgoing, leaving:
            async with in_background(receive, send):
                yield incoming, outgoing


async def _receive(process_io: ProcessIO, arriving: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
    """Pass on each line as a message, until the program ends or sends one that is too long or has too many values."""
    with arriving, suppress(anyio.BrokenResourceError):  # whoever listened has left
        buffer = bytearray()
        while len(buffer) <= MAX_LINE and (chunk := await process_io.receive()):
            buffer += chunk
            end = buffer.rfind(b"\n", len(buffer) - len(chunk)) + 1
            lines = bytes(buffer[:end]).split(b"\n")
            del buffer[:end]
            for line in filter(bytes.strip, lines):
                if holds_too_many(line):
                    return
                await arriving.send(await computed(len(line), _message, line, threads=READING))


def _message(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


async def _send(process_io: ProcessIO, leaving: MemoryObjectReceiveStream[SessionMessage]) -> None:
    async for sent in leaving:
        message = sent.message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            await process_io.send(message.encode() + b"\n")
        except anyio.BrokenResourceError:
            return  # it has ended, which whoever waits for its answer learns from the other stream
