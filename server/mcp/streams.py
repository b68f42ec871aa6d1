"""Adapter of a connection to the MCP SDK's two streams, with limits on open calls and unread answers.

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
from server.json_rpc import SERVER_ERROR
from server.json_text import memory
from server.mcp.messages import MAX_BESIDE, NoMessage, answer_before_opening, line_of, parse, refusal
from server.round_robin import LANE
from server.threads import READING, computed

MAX_OPEN = 32
"""Unanswered calls of one connection; a further one is refused."""

MAX_OPEN_MEMORY = 64 * 1024**2
"""Bytes of memory of one connection's open calls; once reached, a further one is refused."""

MAX_LARGE_MEMORY = 256 * 1024**2
"""Bytes of memory of all connections' large calls: eight of the longest lines."""

MAX_UNREAD_BYTES = 4 * 1024**2
"""Bytes of answers that a peer has not read; once reached, nothing more is read from it."""

MAX_UNREAD_OF_ALL = 128 * 1024**2
"""The same of all connections; once reached, each may leave LEAST_UNREAD_BYTES unread."""

LEAST_UNREAD_BYTES = 256 * 1024
"""Bytes of answers that every peer may leave unread: more than any answer but the largest."""

MAX_UNREAD_LINES = 1000
"""Answers that a peer has not read, likewise: a short one takes more memory than its bytes."""

LAST_ANSWERS = 5.0
"""Seconds for a peer that has stopped sending to read its last answers."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@asynccontextmanager
async def streams(
    connection: Connection, together: "Together", max_open: int = MAX_OPEN, max_memory: int = MAX_OPEN_MEMORY
) -> AsyncIterator[tuple["Incoming", "Outgoing"]]:
    """Open the two streams of a connection; work within the block runs in the connection's lane.

    `together` is the state shared with other connections.
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
    """The memory of all connections' large open calls.

    A call is large because of a tool's arguments, and no tool that waits takes large ones, so memory soon becomes free.
    """

    def __init__(self, most: int = MAX_LARGE_MEMORY) -> None:
        self._most = most
        self._taken = 0

    def objection(self, taken: int) -> str | None:
        """Return why a call of `taken` bytes may not be opened; None if it may."""
        if taken > MAX_BESIDE and self._taken >= self._most:
            return f"the large calls of all connections take {self._most} bytes of memory; try again soon"
        return None

    def opened(self, taken: int) -> None:
        """Count an opened call of `taken` bytes."""
        self._taken += taken if taken > MAX_BESIDE else 0

    def closed(self, taken: int) -> None:
        """Count a closed call of `taken` bytes."""
        self._taken -= taken if taken > MAX_BESIDE else 0


class Unread:
    """The unread answers of several connections."""

    def __init__(self, most: int = MAX_UNREAD_OF_ALL) -> None:
        self._most = most
        self._bytes = 0

    @property
    def most_of_one(self) -> int:
        """Bytes that a peer may leave unread before nothing more is read from it."""
        return MAX_UNREAD_BYTES if self._bytes < self._most else LEAST_UNREAD_BYTES

    def count(self, size: int) -> None:
        """Add `size` bytes; a negative size subtracts."""
        self._bytes += size


@dataclass(frozen=True, slots=True)
class Together:
    """Limits shared by several connections."""

    large_calls: LargeCalls = field(default_factory=LargeCalls)
    unread: Unread = field(default_factory=Unread)


class OpenCalls:
    """The unanswered requests of a connection, each under a number of this server's.

    The SDK gets these numbers in place of the ids: it treats 1 and "1" as the same id, and would cancel the wrong
    request.
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
        """Return why a call of `taken` bytes may not be opened; None if it may. Pings do not count."""
        if len(self._ids) - len(self._pings) >= self._most:
            return f"{self._most} calls of this connection are open; wait for answers"
        if sum(self._memory.values()) >= self._most_memory:
            return f"the open calls of this connection take {self._most_memory} bytes of memory; wait for answers"
        return self._others.objection(taken)

    def opened(self, request: JSONRPCRequest, taken: int) -> int:
        """Count an opened request of `taken` bytes of memory; returns its number."""
        self._last += 1
        self._ids[self._last] = request.id
        self._memory[self._last] = taken
        self._others.opened(taken)
        if request.method == "ping":
            self._pings.add(self._last)
        return self._last

    def id(self, number: int) -> RequestId:
        """Return the id of an open request."""
        return self._ids[number]

    def closed(self, number: int) -> None:
        """Count a request as answered or cancelled."""
        self._pings.discard(number)
        del self._ids[number]
        self._others.closed(self._memory.pop(number))

    def number(self, key: object) -> int | None:
        """Return the number of the latest open request with an id; "7" matches 7 if no id is equal."""
        same = [number for number, known in self._ids.items() if type(known) is type(key) and known == key]
        alike = same or [number for number, known in self._ids.items() if str(known) == str(key)]
        return alike[-1] if alike else None


class Outbox:
    """The lines that a peer has not read yet, in order."""

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
        """Add a line, for which there must be room."""
        if not self._is_broken:
            self._lines.append(line)
            self._count(len(line))
            self._tell()

    async def emptied(self) -> None:
        """Wait until the peer has read everything, or is gone."""
        while self._lines:
            await self._change()

    async def serve(self) -> None:
        """Send added lines until the peer is gone."""
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
        """Drop what is left, because the peer is gone."""
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
    """The stream of a peer's messages.

    Messages that need no work are answered here: a line that is not a message, which the SDK would silently ignore, a
    call over a limit, and requests before the connection is opened. Notifications, answers and pings are always passed
    on, so that cancelling cannot be blocked.
    """

    def __init__(self, connection: Connection, outbox: Outbox, calls: OpenCalls) -> None:
        self._connection = connection
        self._outbox = outbox
        self._calls = calls
        self._is_open = False

    async def receive(self) -> SessionMessage:
        """Return the next message. Raises anyio.EndOfStream when the peer is done."""
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
            await anyio.lowlevel.checkpoint()  # thousands may be buffered: other connections must get their turn

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
            self._outbox.add(refusal(SERVER_ERROR, objection, request.id))
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
        """Do nothing: the connection is closed by the code that opened it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _weighed(line: bytes) -> tuple[JSONRPCMessage, int]:
    """Return the message in a line, and its bytes of memory. Raises NoMessage."""
    message = parse(line)
    if not isinstance(message, JSONRPCRequest):
        return message, 0
    return message, memory([message.id, message.method, message.params])


class Outgoing:
    """The stream of messages to a peer."""

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
        """Do nothing: the connection is closed by the code that opened it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
