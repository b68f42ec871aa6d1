"""JSON-RPC 2.0 connection to a program: requests in both directions and notifications, in order."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import anyio

from server.agents.acp.framing import JsonLines, NotJson, encode, parse
from server.errors import Code, RemitError
from server.runner.dialogue import ProcessIO
from server.threads import READING, computed

MAX_FAULTS = 100
"""Invalid messages in one run: some programs print a greeting or warnings where only JSON belongs."""

MAX_MESSAGES = 1_000_000
"""Messages in one run: an hour and a half of 200 tokens a second, one message for each."""

MAX_ID = 256
"""Characters of the id of a request, which its answer repeats; the longest seen have about forty."""

Id = str | int | None


class ProgramGone(Exception):
    """A program that has closed its output or its input."""


class RequestRefused(Exception):
    """An error with which the program answered a request."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ProtocolFault(Exception):
    """An invalid message, described in a few words. It is counted; too many end the run."""


class MessageHandler(Protocol):
    """Handler of the program's own requests and notifications, called one after the other."""

    async def notified(self, method: str, params: Mapping[str, Any]) -> None:
        """Handle a notification. Raises ProtocolFault for an invalid one."""
        ...

    async def asked(self, request: Id, method: str, params: Mapping[str, Any]) -> None:
        """Handle a request; answer it now or later by `JsonRpcConnection.answer` or `refuse`. Raises ProtocolFault."""
        ...

    async def shown(self, beginning: str) -> str:
        """Return the masked beginning of an invalid message, for an error."""
        ...


def _nothing() -> None:
    pass


class _Pending:
    """A request to the program that is not answered yet."""

    def __init__(self, then: Callable[[], None]) -> None:
        self.done = anyio.Event()
        self.answer: Mapping[str, Any] | None = None
        self._then = then

    def take(self, answer: Mapping[str, Any]) -> None:
        """Set the answer."""
        self.answer = answer
        self._then()
        self.done.set()


class JsonRpcConnection:
    """A connection to the program. `serve` must run for messages to be received."""

    def __init__(self, process_io: ProcessIO, handler: MessageHandler) -> None:
        self._process_io = process_io
        self._handler = handler
        self._lines = JsonLines(process_io)
        self._pending: dict[int, _Pending] = {}
        self._requests = 0
        self._messages = 0
        self._faults = 0
        self._last_fault = ""
        self._sending = anyio.Lock()
        self._broken = False
        self._failure: Exception | None = None

    @property
    def last_fault(self) -> str | None:
        """The latest invalid message, and how many there were."""
        return f"{self._last_fault} ({self._faults} of such)" if self._faults else None

    async def serve(self) -> None:
        """Receive messages until the program ends; then every open request fails with the reason."""
        try:
            while (line := await self._lines.next()) is not None:
                await self._take(line)
            raise ProgramGone
        except (ProgramGone, RemitError) as error:
            self._failure = error
            for pending in self._pending.values():
                pending.done.set()

    async def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a request, and wait for the answer.

        Raises RequestRefused, ProgramGone, or RemitError: LIMIT_EXCEEDED or EXECUTION_ERROR for a program that violates
        the protocol.
        """
        number = await self.begin(method, params)
        return await self.answered(number)

    async def begin(self, method: str, params: Mapping[str, Any], then: Callable[[], None] = _nothing) -> int:
        """Send a request without waiting. Returns its number for `answered`.

        `then` is called before any message after the answer is handled.

        Raises what `request` raises.
        """
        number = self._requests = self._requests + 1
        self._pending[number] = _Pending(then)
        await self._send({"id": number, "method": method, "params": params})
        return number

    async def answered(self, number: int) -> Mapping[str, Any]:
        """Wait for the answer to a request; a wait that was cancelled can be repeated. Raises what `request` raises."""
        pending = self._pending[number]
        if self._failure is None:
            await pending.done.wait()
        if pending.answer is None:
            raise self._failure or ProgramGone()
        del self._pending[number]
        return _result(pending.answer)

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification. Raises ProgramGone."""
        await self._send({"method": method, "params": params})

    async def answer(self, request: Id, result: Mapping[str, Any]) -> None:
        """Answer a request of the program. Raises ProgramGone."""
        await self._send({"id": request, "result": result})

    async def refuse(self, request: Id, code: int, message: str) -> None:
        """Answer a request of the program with an error. Raises ProgramGone."""
        await self._send({"id": request, "error": {"code": code, "message": message}})

    async def _send(self, message: dict[str, Any]) -> None:
        data = encode({"jsonrpc": "2.0", **message})
        async with self._sending:
            if self._broken:
                raise ProgramGone
            self._broken = True  # half a line, if this is cancelled: nothing can be said after it
            try:
                await self._process_io.send(data)
            except anyio.BrokenResourceError:
                raise ProgramGone from None
            self._broken = False

    async def _take(self, line: bytes) -> None:
        self._messages += 1
        if self._messages > MAX_MESSAGES:
            raise RemitError(Code.LIMIT_EXCEEDED, f"the agent sent more than {MAX_MESSAGES} messages in one run")
        try:
            await self._dispatch(await computed(len(line), parse, line, threads=READING))
        except NotJson as found:
            self._count(f"{found.reason}: {await self._handler.shown(found.beginning)}")
        except ProtocolFault as fault:
            self._count(str(fault))

    def _count(self, fault: str) -> None:
        self._faults += 1
        self._last_fault = fault
        if self._faults >= MAX_FAULTS:
            raise RemitError(
                Code.EXECUTION_ERROR,
                f"the agent does not keep to the Agent Client Protocol: {self.last_fault}; is its command right?",
            )

    async def _dispatch(self, message: Any) -> None:
        match message:
            case {"method": str(method), "id": request}:
                await self._requested(request, method, _params(message))
            case {"method": str(method)}:
                await self._handler.notified(method, _params(message))
            case {"id": int(number)} if number in self._pending and not self._pending[number].done.is_set():
                self._pending[number].take(message)
            case {"id": _}:
                raise ProtocolFault("an answer to a request that was never made")
            case _:
                raise ProtocolFault("a message that is neither a request nor an answer")

    async def _requested(self, request: Any, method: str, params: Mapping[str, Any]) -> None:
        if isinstance(request, bool) or not isinstance(request, Id):
            raise ProtocolFault("a request whose id is neither a text nor a number")
        if len(str(request)) > MAX_ID:
            raise ProtocolFault(f"a request whose id has more than {MAX_ID} characters")
        await self._handler.asked(request, method, params)


def _params(message: Mapping[str, Any]) -> Mapping[str, Any]:
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def _result(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    match answer:
        case {"error": {"code": int(code), "message": str(text)} as error}:
            raise RequestRefused(code, _with_data(text, error.get("data")))
        case {"error": _}:
            raise RequestRefused(0, "an error without a message")
        case {"result": dict(result)}:
            return result
        case _:
            return {}


def _with_data(text: str, data: Any) -> str:
    """Return an error's message with its data, in which agents put the cause."""
    cause = data if isinstance(data, str) else encode(data).decode().strip() if data else ""
    return f"{text}: {cause}" if cause else text
