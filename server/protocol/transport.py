"""A connection of ours as the two streams the MCP SDK serves.

The SDK names its stream types privately; having their methods is enough to be one, so no private name is used.
"""

import json
from typing import Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, PARSE_ERROR, jsonrpc_message_adapter
from pydantic import ValidationError

from server.daemon import Connection


class Incoming:
    """The messages a peer sends. A line that is none is answered here, since the SDK would pass over it in silence."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def receive(self) -> SessionMessage:
        """The next message. Raises anyio.EndOfStream when the peer is done."""
        while (line := await self._connection.receive_line()) is not None:
            try:
                return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
            except ValidationError:
                await self._connection.send_line(_refusal(line))
        raise anyio.EndOfStream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """Nothing: the connection is closed by whoever opened it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Outgoing:
    """The messages we send."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def send(self, item: SessionMessage, /) -> None:
        """Send one message. Raises anyio.BrokenResourceError when the peer is gone."""
        await self._connection.send_line(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode())

    async def aclose(self) -> None:
        """Nothing: the connection is closed by whoever opened it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _refusal(line: bytes) -> bytes:
    """The JSON-RPC error for a line that is no message; it repeats nothing of the line but its id."""
    answer: dict[str, object] = {"jsonrpc": "2.0", "id": None}
    try:
        message = json.loads(line)
    except ValueError:
        answer["error"] = {"code": PARSE_ERROR, "message": "this line is not JSON"}
    except RecursionError:
        answer["error"] = {"code": INVALID_REQUEST, "message": "this message is nested too deeply"}
    else:
        if isinstance(message, dict) and isinstance(message.get("id"), str | int):
            answer["id"] = message["id"]
        answer["error"] = {"code": INVALID_REQUEST, "message": "this is not a JSON-RPC 2.0 message"}
    return json.dumps(answer).encode()
