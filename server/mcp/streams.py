"""A connection of ours as the two streams the MCP SDK serves, with limits to what is open and what is unread.

The SDK names its stream types privately; having their methods is enough to be one, so no private name is used.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import anyio
import anyio.lowlevel
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId

from server.concurrency import in_background
from server.daemon.connection import Connection
from server.json_text import memory
from server.mcp.messages import MAX_BESIDE, NoMessage, answer_before_opening, line_of, parse, refusal
from server.round_robin import LANE
from server.threads import READING, computed

MAX_OPEN = 32
"""Calls of one connection that are not answered yet; a further one is refused."""

MAX_OPEN_MEMORY = 64 * 1024**2
"""Bytes of memory that the open calls of one connection take: from so many on a further one is refused."""

MAX_LARGE_MEMORY = 256 * 1024**2
"""The same of the large calls of all connections: eight of the longest lines."""

MAX_UNREAD_BYTES = 4 * 1024**2
"""Bytes of answers that a peer has not read; at so many nothing more is read of it."""

MAX_UNREAD_OF_ALL = 128 * 1024**2
"""The same of all connections: from so many on, each may leave LEAST_UNREAD_BYTES unread."""

LEAST_UNREAD_BYTES = 256 * 1024
"""Bytes of answers that every peer may leave unread, whatever others do: more than any answer but the largest."""

MAX_UNREAD_LINES = 1000
"""Answers that a peer has not read, likewise: a short one takes more memory than it has bytes."""

LAST_ANSWERS = 5.0
"""Seconds in which a peer that sends no more may read its last answers."""

TOO_MANY_OPEN = -32000  # JSON-RPC 2.0 leaves -32099 to -32000 to implementations

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@asynccontextmanager
async def streams(
    connection: Connection, together: "Together", max_open: int = MAX_OPEN, max_memory: int = MAX_OPEN_MEMORY
) -> AsyncIterator[tuple["Incoming", "Outgoing"]]:
    """The two streams of a connection, inside the block; what is done in it for the connection has its own turns.

    `together` is what it has with others.
    """
    outbox = Outbox(connection, together.unread)
    calls = OpenCalls(max_open, max_memory, together.large_calls)
    lane = LANE.set(connection)
    try:
        async with in_background(outbox.serve):
            yield Incoming(connection, outbox, calls), Outgoing(outbox, calls)
            with anyio.move_on_after(LAST_ANSWERS):
                await outbox.emptied()
    finally:
        outbox.give_up()
        LANE.reset(lane)


class LargeCalls:
    """The memory of the large calls among those of several connections, which are not answered yet.

    What makes a call large is the arguments of a tool, and no tool that waits takes large ones: so there is soon room.
    """

    def __init__(self, most: int = MAX_LARGE_MEMORY) -> None:
        self._most = most
        self._taken = 0

    def objection(self, taken: int) -> str | None:
        """Why there may not be one more."""
        if taken > MAX_BESIDE and self._taken >= self._most:
            return f"the large calls of all connections take {self._most} bytes of memory; try again soon"
        return None

    def opened(self, taken: int) -> None:
        """Count a call in that takes so many bytes."""
        self._taken += taken if taken > MAX_BESIDE else 0

    def closed(self, taken: int) -> None:
        """Count such a call out."""
        self._taken -= taken if taken > MAX_BESIDE else 0


class Unread:
    """The answers of several connections that their peers have not read."""

    def __init__(self, most: int = MAX_UNREAD_OF_ALL) -> None:
        self._most = most
        self._bytes = 0

    @property
    def most_of_one(self) -> int:
        """Bytes that a peer may leave unread before nothing more is read of it."""
        return MAX_UNREAD_BYTES if self._bytes < self._most else LEAST_UNREAD_BYTES

    def count(self, size: int) -> None:
        """Count in so many bytes, or out where they are less than none."""
        self._bytes += size


@dataclass(frozen=True, slots=True)
class Together:
    """What several connections have together."""

    large_calls: LargeCalls = field(default_factory=LargeCalls)
    unread: Unread = field(default_factory=Unread)


class OpenCalls:
    """The requests of a connection that are not answered yet, each under a number of our own.

    The SDK gets these numbers in place of the ids: it takes 1 and "1" for the same, and so would cancel the wrong one.
    """

    def __init__(self, most: int, most_memory: int, others: "LargeCalls") -> None:
        self._most = most
        self._most_memory = most_memory
        self._others = others
        self._memory: dict[int, int] = {}
        self._ids: dict[int, RequestId] = {}
        self._pings: set[int] = set()
        self._last = 0

    def objection(self, taken: int) -> str | None:
        """Why there may not be one more, that takes so many bytes of memory; a ping does not count."""
        if len(self._ids) - len(self._pings) >= self._most:
            return f"{self._most} calls of this connection are open; wait for answers"
        if sum(self._memory.values()) >= self._most_memory:
            return f"the open calls of this connection take {self._most_memory} bytes of memory; wait for answers"
        return self._others.objection(taken)

    def opened(self, request: JSONRPCRequest, taken: int) -> int:
        """Count a request in that takes so many bytes of memory; its number."""
        self._last += 1
        self._ids[self._last] = request.id
        self._memory[self._last] = taken
        self._others.opened(taken)
        if request.method == "ping":
            self._pings.add(self._last)
        return self._last

    def id(self, number: int) -> RequestId:
        """The id of an open request."""
        return self._ids[number]

    def closed(self, number: int) -> None:
        """Count a request out that is answered or was cancelled."""
        self._pings.discard(number)
        del self._ids[number]
        self._others.closed(self._memory.pop(number))

    def number(self, key: object) -> int | None:
        """The number of the last open request with an id; "7" stands for 7 where that is all there is."""
        same = [number for number, known in self._ids.items() if type(known) is type(key) and known == key]
        alike = same or [number for number, known in self._ids.items() if str(known) == str(key)]
        return alike[-1] if alike else None


class Outbox:
    """The lines that a peer has not taken yet, in order."""

    def __init__(self, connection: Connection, unread: Unread) -> None:
        self._connection = connection
        self._unread = unread
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._is_broken = False
        self._changed = anyio.Event()

    async def room(self) -> None:
        """Wait until there is room for one more line. Raises anyio.BrokenResourceError when the peer is gone."""
        while self._bytes >= self._unread.most_of_one or len(self._lines) >= MAX_UNREAD_LINES:
            await self._change()
        if self._is_broken:
            raise anyio.BrokenResourceError

    def add(self, line: bytes) -> None:
        """Add a line, for which there is room."""
        if not self._is_broken:
            self._lines.append(line)
            self._count(len(line))
            self._tell()

    async def emptied(self) -> None:
        """Wait until the peer has taken everything, or is gone."""
        while self._lines:
            await self._change()

    async def serve(self) -> None:
        """Send what is added, until the peer is gone."""
        try:
            while True:
                while not self._lines:
                    await self._change()
                await self._connection.send_line(self._lines[0])
                self._count(-len(self._lines.popleft()))
                self._tell()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.give_up()

    def give_up(self) -> None:
        """Drop what is left: nobody takes it any more."""
        self._is_broken = True
        self._lines.clear()
        self._count(-self._bytes)
        self._tell()

    def _count(self, size: int) -> None:
        self._bytes += size
        self._unread.count(size)

    async def _change(self) -> None:
        await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class Incoming:
    """The messages a peer sends.

    What needs no work is answered here: a line that is no message, since the SDK would pass over it in silence, a
    call too many, and what comes before the connection is opened. Notifications, answers and pings are always passed
    on, so that cancelling cannot be blocked.
    """

    def __init__(self, connection: Connection, outbox: Outbox, calls: OpenCalls) -> None:
        self._connection = connection
        self._outbox = outbox
        self._calls = calls
        self._is_open = False

    async def receive(self) -> SessionMessage:
        """The next message. Raises anyio.EndOfStream when the peer is done."""
        while True:
            try:
                await self._outbox.room()
            except anyio.BrokenResourceError:
                raise anyio.EndOfStream from None
            async with self._connection.line() as line:
                if line is None:
                    raise anyio.EndOfStream
                if message := await self._understood(line.removeprefix(_BYTE_ORDER_MARK)):
                    return message
            await anyio.lowlevel.checkpoint()  # thousands of them may be there already: others want to be served too

    async def _understood(self, line: bytes) -> SessionMessage | None:
        if line.isspace() or not line:
            return None
        try:
            message, taken = await computed(len(line), _weighed, line, threads=READING)
        except NoMessage as refused:
            self._outbox.add(refused.answer)
            return None
        match message:
            case JSONRPCRequest():
                return self._asked(message, taken)
            case JSONRPCNotification(method="notifications/cancelled"):
                return self._cancelled(message)
            case _:
                return SessionMessage(message)

    def _asked(self, request: JSONRPCRequest, taken: int) -> SessionMessage | None:
        if not self._is_open and (answer := answer_before_opening(request)):
            self._outbox.add(line_of(answer))
            return None
        self._is_open = True
        if request.method != "ping" and (objection := self._calls.objection(taken)):
            self._outbox.add(refusal(TOO_MANY_OPEN, objection, request.id))
            return None
        number = self._calls.opened(request, taken)

        async def unanswered() -> None:
            self._calls.closed(number)

        numbered = request.model_copy(update={"id": number})
        return SessionMessage(numbered, ServerMessageMetadata(on_request_unanswered=unanswered))

    def _cancelled(self, notification: JSONRPCNotification) -> SessionMessage | None:
        params = notification.params or {}
        number = self._calls.number(params.get("requestId"))
        if number is None:
            return None  # it is answered already
        return SessionMessage(notification.model_copy(update={"params": params | {"requestId": number}}))

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


def _weighed(line: bytes) -> tuple[JSONRPCMessage, int]:
    """The message in a line, and the bytes of memory that it takes. Raises NoMessage."""
    message = parse(line)
    if not isinstance(message, JSONRPCRequest):
        return message, 0
    return message, memory([message.id, message.method, message.params])


class Outgoing:
    """The messages we send."""

    def __init__(self, outbox: Outbox, calls: OpenCalls) -> None:
        self._outbox = outbox
        self._calls = calls

    async def send(self, item: SessionMessage, /) -> None:
        """Send one message. Raises anyio.BrokenResourceError when the peer is gone."""
        await self._outbox.room()
        message = item.message
        if not isinstance(message, JSONRPCResponse | JSONRPCError) or not isinstance(message.id, int):
            self._outbox.add(line_of(message))
            return
        self._outbox.add(line_of(message.model_copy(update={"id": self._calls.id(message.id)})))
        self._calls.closed(message.id)

    async def aclose(self) -> None:
        """Nothing: the connection is closed by whoever opened it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
