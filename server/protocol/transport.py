"""A connection of ours as the two streams the MCP SDK serves.

The SDK names its stream types privately; having their methods is enough to be one, so no private name is used.
"""

from typing import Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError

from server.daemon import Connection


class Incoming:
    """The messages a peer sends; a line that is no message comes as the exception that says so."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def receive(self) -> SessionMessage | Exception:
        """The next message. Raises anyio.EndOfStream when the peer is done."""
        line = await self._connection.receive_line()
        if line is None:
            raise anyio.EndOfStream
        try:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValidationError as error:
            return error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
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
