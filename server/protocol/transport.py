"""A connection of ours as the two streams the MCP SDK serves.

The SDK names its stream types privately; having their methods is enough to be one, so no private name is used.
"""

from typing import Self

import anyio
from mcp.shared.message import SessionMessage

from server.daemon import Connection
from server.protocol.messages import NoMessage, parse


class Incoming:
    """The messages a peer sends. A line that is none is answered here, since the SDK would pass over it in silence."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def receive(self) -> SessionMessage:
        """The next message. Raises anyio.EndOfStream when the peer is done."""
        while (line := await self._connection.receive_line()) is not None:
            try:
                return SessionMessage(parse(line))
            except NoMessage as refused:
                await self._connection.send_line(refused.answer)
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
