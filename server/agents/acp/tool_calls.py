"""The tool calls that an agent reports, and their records.

An agent tells of one call in several messages, in which it may ask for permission once, several times or not at all.
Each question is one call on record, bound to the arguments that were asked for; what was not asked for is one as well.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import anyio

from server.agents.acp.connection import ProtocolFault
from server.agents.acp.schema import ToolCallUpdate
from server.agents.interface import KnownCall, Permission, Proposal, ToolResult, Turn
from server.errors import Code, RemitError
from server.json_text import memory

MAX_CALLS = 10_000
"""Calls in one run: a person's week of work."""

MAX_OPEN = 64
"""Calls under way at the same time; agents that run tools in parallel make about ten of them."""

MAX_ARGS = 1024**2
"""Bytes of a call's arguments, as JSON: a long file to be written."""

MAX_HELD = 32 * 1024**2
"""Bytes of memory that is kept of all calls under way: some thirty of the longest arguments, or outputs, in ASCII."""

ARGS_SECONDS = 2.0
"""The time for the arguments of a call that was asked for to arrive; OpenCode sends them within 25 ms."""

MAX_OUTPUT = 1024**2
"""Characters kept of what a call has produced; the turn keeps fewer."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")
_TAKEN_BACK = "the agent did not wait for the answer"
_ASKED_LATE = "the agent had not begun: it asks for permission now"
_CUT_OFF = "the agent came to its end in the middle of this"
_UNTOLD = "the agent ended its turn without telling how this ended"


class RecordedCall:
    """A recorded call, bound to its arguments, and its state."""

    def __init__(self, key: str, args: Mapping[str, Any], *, is_blind: bool = False) -> None:
        self.key = key
        self.args = args
        self.is_blind = is_blind
        """Whether the agent has not told the arguments, so that others stand for them."""

        self.state: Literal["new", "asking", "allowed", "refused", "told", "ended"] = "new"
        self.scope: anyio.CancelScope | None = None
        """The scope of the code that waits for the answer to a question."""

        self.decided = anyio.Event()
        """A question was answered, or taken back."""

    @property
    def is_under_way(self) -> bool:
        """Whether the agent executes it, and its end is still to be recorded."""
        return self.state in ("allowed", "told")

    def contradicts(self, args: Mapping[str, Any]) -> bool:
        """Return whether `args` differ from those asked for: an agent may add arguments, but not change them."""
        return self.is_blind or any(args.get(name, value) != value for name, value in self.args.items())


class ToolCall:
    """One call as the agent reports it."""

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.acts: list[RecordedCall] = []
        self.status: str | None = None
        self.questions = 0
        """The number of open questions of the agent about it."""

        self.is_timed = False
        """Whether it is known to be under way, and waited for whether it is asked for after all."""

        self.informed = anyio.Event()
        """The agent has told its arguments."""

        self.over = anyio.Event()
        """Set once it has ended, and nothing more is waited for."""

        self.asked = 0
        """Bytes of memory that the arguments of open questions take."""

        self._title = ""
        self._name: str | None = None
        self._kind: str | None = None
        self._args: Mapping[str, Any] = {}
        self._locations: list[dict[str, Any]] = []
        self._text = ""
        self._output = ""
        self._told = 0

    def merge(self, update: ToolCallUpdate) -> None:
        """Apply an update."""
        self._name = self._name or _tool_name(update)
        self._title = update.title or self._title
        self._kind = update.kind or self._kind
        self.status = update.status or self.status
        self._locations = update.locations or self._locations
        if args := arguments(update):
            self._args = args
            self.informed.set()
        if update.content is not None:
            self._text = "\n".join(piece.shown for piece in update.content)[:MAX_OUTPUT]
        if update.raw_output is not None:
            self._output = _raw_text(update.raw_output)[:MAX_OUTPUT]
        self._told = memory([self._title, self._kind, self._args, self._locations, self._text, self._output])

    @property
    def held(self) -> int:
        """The bytes of memory that its kept data takes."""
        return self._told + self.asked

    @property
    def tool_name(self) -> str:
        """The tool's name, else its kind."""
        return self._name or self._kind or "tool"

    @property
    def title(self) -> str:
        """A line that describes the call."""
        return " ".join(self._title.split()) or self.tool_name

    @property
    def output(self) -> str:
        """The output so far."""
        return self._output or self._text

    @property
    def args(self) -> Mapping[str, Any]:
        """The arguments, or whatever else the agent says about the call if it gives none."""
        told = {"title": self._title, "content": self._text, "locations": self._locations}
        return self._args or {name: value for name, value in told.items() if value}


class ToolCalls:
    """The calls of one session in one run of a turn."""

    def __init__(self, turn: Turn, session_id: str) -> None:
        self._turn = turn
        self._session_id = session_id
        self._calls: dict[str, ToolCall] = {}
        self._made: dict[str, int] = {}
        self._recording = anyio.Lock()
        self._earlier = [call for call in turn.calls().values() if _is_unfinished(call)]
        self.refused: list[str] = []
        """The keys of calls that were refused, for whoever tells the agent of them; cleared by him."""

    async def take(self, update: ToolCallUpdate, *, is_new: bool) -> ToolCall | None:
        """Apply an update to a call, and record its end; returns None for a call that has ended.

        Raises what the turn raises, or RemitError for an agent that does what it was not allowed to do.
        """
        call = self._merged(update, is_new=is_new)
        if call is None:
            return None
        _hold_to_its_word(call, arguments(update))
        if call.status in ("completed", "failed"):
            async with self._recording:
                await self._finish(call, failed=call.status == "failed")
        return call

    def question(self, update: ToolCallUpdate) -> ToolCall:
        """Return the call that a permission request is about. Raises ProtocolFault, or as `take`."""
        call = self._merged(update.model_copy(update={"status": None, "raw_input": None}), is_new=False)
        if call is None:
            raise ProtocolFault("a permission request for a call that has ended")
        call.questions += 1
        call.asked += memory(arguments(update))
        self._check_room()
        return call

    async def ask(self, call: ToolCall, args: Mapping[str, Any]) -> Permission:
        """Record a permission request for a call, and wait for the answer. Raises what the turn raises.

        Some agents ask without arguments and tell these in their next message. One that was put before with the same
        arguments has the same answer; REFUSED for one that was taken back meanwhile.
        """
        try:
            if not args:
                with anyio.move_on_after(ARGS_SECONDS):
                    await call.informed.wait()
            async with self._recording:
                recorded = await self._asked(call, args or call.args, is_blind=not args and not call.informed.is_set())
            if recorded is None:
                return Permission.REFUSED
            return await self._decided(recorded)
        finally:
            call.questions -= 1
            call.asked -= memory(args)

    async def tell(self, call: ToolCall) -> None:
        """Record that the agent makes a call without having asked, unless it has asked, or ended, by now."""
        async with self._recording:
            if not call.acts and not call.questions and self._calls.get(call.id) is call:
                await self._tell(call)

    async def close(self) -> None:
        """Close the turn: record open calls as unknown, and withdraw every permission request."""
        async with self._recording:
            for call in list(self._calls.values()):
                self._forget(call)
                await self._end(call, await self._answer(call, _UNTOLD))

    async def cut_off(self) -> None:
        """Record that the run failed during the calls under way. Open questions stay, for the run that may follow."""
        async with self._recording:
            for call in self._calls.values():
                for recorded in call.acts:
                    if recorded.is_under_way:
                        await self._turn.end(recorded.key, await self._answer(call, _CUT_OFF))

    async def _asked(self, call: ToolCall, args: Mapping[str, Any], *, is_blind: bool) -> RecordedCall | None:
        if self._calls.get(call.id) is not call:
            return None
        for recorded in call.acts:
            if recorded.args == args and recorded.state in ("asking", "allowed", "refused"):
                return recorded
            if recorded.state == "told":
                await self._turn.end(recorded.key, ToolResult(_ASKED_LATE, failed=True))
                recorded.state = "ended"
        recorded = RecordedCall(await self._known(call, args) or await self._key(call.id), args, is_blind=is_blind)
        await self._record(call, recorded)
        recorded.state = "asking"
        return recorded

    async def _decided(self, recorded: RecordedCall) -> Permission:
        if recorded.scope is None and not recorded.decided.is_set():
            recorded.scope = anyio.CancelScope()
            try:
                with recorded.scope:
                    permission = await self._turn.wait(recorded.key)
                    recorded.state = "allowed" if permission is Permission.PROCEED else "refused"
                    self.refused += [recorded.key] if recorded.state == "refused" else []
            finally:
                recorded.decided.set()
        await recorded.decided.wait()
        return Permission.PROCEED if recorded.state == "allowed" else Permission.REFUSED

    def _merged(self, update: ToolCallUpdate, *, is_new: bool) -> ToolCall | None:
        call = self._calls.get(update.tool_call_id)
        if call is None:
            if update.tool_call_id in self._made and not is_new:
                return None
            call = self._opened(update.tool_call_id)
        call.merge(update)
        self._check_room()
        return call

    def _check_room(self) -> None:
        if sum(call.held for call in self._calls.values()) > MAX_HELD:
            raise RemitError(
                Code.LIMIT_EXCEEDED,
                f"the agent's reports on its open calls take more than {MAX_HELD} bytes of memory",
            )

    def _opened(self, call_id: str) -> ToolCall:
        if len(self._calls) >= MAX_OPEN:
            raise RemitError(Code.LIMIT_EXCEEDED, f"the agent has more than {MAX_OPEN} calls under way at once")
        if len(self._made) >= MAX_CALLS:
            raise RemitError(Code.LIMIT_EXCEEDED, f"the agent made more than {MAX_CALLS} calls in one run")
        self._made.setdefault(call_id, 0)
        self._calls[call_id] = call = ToolCall(call_id)
        return call

    async def _known(self, call: ToolCall, args: Mapping[str, Any]) -> str | None:
        """Return the key of the same call in an earlier run that did not finish it; None if there is none."""
        for known in self._earlier:
            if known.tool_name == await self._turn.mask(call.tool_name) and await self._turn.is_same(known.key, args):
                self._earlier.remove(known)
                return known.key
        return None

    async def _key(self, call_id: str) -> str:
        """Return a key that no call of the turn has yet: agents may repeat an id, in a later run or the same one."""
        taken = self._turn.calls()
        while (key := await self._numbered(call_id)) in taken:
            pass
        return key

    async def _numbered(self, call_id: str) -> str:
        number = self._made[call_id] = self._made[call_id] + 1
        masked = await self._turn.mask(f"{self._session_id}/{call_id}")
        return f"{masked}#{number}" if number > 1 else str(masked)

    async def _record(self, call: ToolCall, recorded: RecordedCall) -> None:
        if len(json.dumps(recorded.args)) > MAX_ARGS:
            reason = f"a call of {call.tool_name} has more than {MAX_ARGS} bytes of arguments"
            raise RemitError(Code.LIMIT_EXCEEDED, reason)
        proposal = Proposal(key=recorded.key, tool_name=call.tool_name, args=recorded.args, description=call.title)
        await self._turn.propose([proposal])
        call.acts.append(recorded)

    async def _tell(self, call: ToolCall) -> None:
        recorded = RecordedCall(await self._key(call.id), call.args)
        await self._record(call, recorded)
        await self._turn.record_unasked(recorded.key)
        recorded.state = "told"

    async def _finish(self, call: ToolCall, *, failed: bool) -> None:
        if not failed and call.questions:
            raise RemitError(
                Code.EXECUTION_ERROR,
                f"the agent did `{call.title}` without waiting for the permission it had asked for",
            )
        if not call.acts:
            await self._tell(call)
        self._forget(call)
        await self._end(call, ToolResult((await self._answer(call)).text, failed=failed))

    async def _answer(self, call: ToolCall, note: str = "") -> ToolResult:
        """Return the output of a failed call. If it was cut inside a secret, nothing of the secret is in it."""
        is_cut = len(call.output) == MAX_OUTPUT
        output = await self._turn.mask_beginning(call.output) if is_cut else call.output
        return ToolResult("\n".join(filter(None, (output, note))), failed=True)

    def _forget(self, call: ToolCall) -> None:
        del self._calls[call.id]
        call.over.set()

    async def _end(self, call: ToolCall, answer: ToolResult) -> None:
        for recorded in call.acts:
            if recorded.state == "asking":
                await _take_back(recorded)
                await self._turn.end(recorded.key, ToolResult(_TAKEN_BACK, failed=True))
            elif recorded.is_under_way:
                await self._turn.end(recorded.key, answer)
            recorded.state = "ended"


async def _take_back(recorded: RecordedCall) -> None:
    """Stop waiting for the answer to a question."""
    if recorded.scope is None:
        recorded.decided.set()
    else:
        recorded.scope.cancel()
        await recorded.decided.wait()


def _hold_to_its_word(call: ToolCall, args: Mapping[str, Any]) -> None:
    """Raise RemitError (EXECUTION_ERROR) if the agent tells of another call than those it has asked for."""
    asked = [recorded for recorded in call.acts if recorded.state in ("asking", "allowed")]
    if args and asked and all(recorded.contradicts(args) for recorded in asked):
        reason = f"the agent asked for one call of {call.tool_name} and then reported a different one"
        raise RemitError(Code.EXECUTION_ERROR, reason)


def arguments(update: ToolCallUpdate) -> Mapping[str, Any]:
    """Return the arguments that a message contains; empty if it has none."""
    given = update.raw_input
    if not given or isinstance(given, dict):
        return given or {}
    return {"input": given}


def _is_unfinished(call: KnownCall) -> bool:
    """Return whether a call was waiting, or refused meanwhile; one that the agent withdrew has an output."""
    return call.status in ("pending", "awaiting_approval") or (call.status == "cancelled" and not call.output)


def _tool_name(update: ToolCallUpdate) -> str | None:
    return next((name for name in _names(update) if _NAME.fullmatch(name)), None)


def _names(update: ToolCallUpdate) -> Iterator[str]:
    """Yield candidates for a tool's name: Claude Code's field, the name, Gemini's id, and OpenCode's first title."""
    match update.meta:
        case {"claudeCode": {"toolName": str(name)}}:
            yield name
    yield update.name or ""
    name, separator, _ = update.tool_call_id.partition("__")
    if separator:
        yield name
    yield update.title or ""


def _raw_text(output: Any) -> str:
    match output:
        case str():
            return output
        case {"output": str(text)} | {"error": str(text)}:
            return text
        case [{"type": "text", "text": str()}, *_]:
            return "\n".join(str(block.get("text", "")) for block in output if isinstance(block, dict))
        case _:
            return json.dumps(output, ensure_ascii=False)
