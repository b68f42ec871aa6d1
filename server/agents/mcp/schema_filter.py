"""Filter that removes the schemas of results from an MCP server's messages.

The SDK would hold each result against its schema, in the event loop: with a hostile pattern (`(a+)+$`) that takes for
ever, and everybody waits. Nothing here reads a result but as text.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from mcp.client._transport import ReadStream, Transport, TransportStreams
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse


@asynccontextmanager
async def unchecked(transport: Transport) -> AsyncIterator[TransportStreams]:
    """Yield a transport's streams, without the schemas that the server gives for its results."""
    async with transport as (incoming, outgoing):
        yield _Unchecked(incoming), outgoing


class _Unchecked:
    """A stream of messages without the schemas of results."""

    def __init__(self, incoming: ReadStream[SessionMessage | Exception]) -> None:
        self._incoming = incoming

    @property
    def last_context(self) -> Any:
        """The context that the SDK keeps with a message."""
        return getattr(self._incoming, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message. Raises what the stream raises."""
        return _without_schemas(await self._incoming.receive())

    async def __anext__(self) -> SessionMessage | Exception:
        return _without_schemas(await self._incoming.__anext__())

    def __aiter__(self) -> Self:
        return self

    async def aclose(self) -> None:
        """Close the stream."""
        await self._incoming.aclose()

    async def __aenter__(self) -> Self:
        await self._incoming.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._incoming.__aexit__(*raised)


def _without_schemas(item: SessionMessage | Exception) -> SessionMessage | Exception:
    match item:
        case SessionMessage(message=JSONRPCResponse(result={"tools": list() as tools})):
            for tool in tools:
                if isinstance(tool, dict):
                    tool.pop("outputSchema", None)
    return item
