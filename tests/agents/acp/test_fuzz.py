"""Random messages in place of the Agent Client Protocol: the run ends in order, and uses bounded memory."""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.agents.acp import tool_calls as calls
from server.agents.acp.run import AcpRun
from server.agents.acp.session import SessionTerms
from server.agents.interface import Proposal
from server.errors import Code, RemitError
from server.json_text import memory
from server.runner.network.callback import RelayProgram
from server.runner.policy import Exit
from tests.agents.acp.turns import PATIENCE, MemoryTurn
from tests.bounds import bounded

MOST_HELD = 1024**2
MOST_MEMORY = 12 * MOST_HELD
"""Bytes: what is kept of calls under way and of those on record, and thirty lines of some 100 KB as they came, of
which one takes thirty times as much while it is read."""

SESSION = "s"
LONG = 30_000

texts = st.sampled_from(["", "x", "1", "make", "\ud800", "😀" * LONG, "x" * LONG, "\\" * LONG]) | st.text(max_size=5)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just([[]] * LONG) | st.just({"a": [0] * LONG}) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of which any field may be left out, or be something else."""
    return st.fixed_dictionaries({}, optional={name: known | known | known | values for name, known in fields.items()})


ids = st.sampled_from(["1", "2", "3"])
diffs = {"path": texts, "oldText": texts, "newText": texts}
content = objects(type=st.sampled_from(["text", "content", "diff"]), text=texts, **diffs)
tool_calls = {
    "toolCallId": ids,
    "title": texts,
    "kind": texts,
    "status": st.sampled_from(["pending", "in_progress", "completed", "failed"]),
    "content": st.lists(content, max_size=3),
    "rawInput": st.dictionaries(texts, values, max_size=2),
    "rawOutput": values,
    "locations": st.lists(values, max_size=2),
}
kinds = ["agent_message_chunk", "agent_thought_chunk", "tool_call", "tool_call_update", "plan", "other"]
updates = objects(
    sessionUpdate=st.sampled_from(kinds),
    content=content,
    entries=st.lists(objects(content=texts, status=texts)),
    **{name: known for name, known in tool_calls.items() if name != "content"},
)
options = st.lists(objects(optionId=texts, kind=st.sampled_from(["allow_once", "reject_once"])), max_size=3)
messages = st.one_of(
    objects(method=st.just("session/update"), params=objects(sessionId=st.just(SESSION), update=updates)),
    objects(
        method=st.just("session/request_permission"),
        id=st.integers(0, 3) | texts,
        params=objects(sessionId=st.just(SESSION), toolCall=objects(**tool_calls), options=options),
    ),
    objects(id=st.integers(0, 5), result=values, error=values),
    values,
)
lines = st.lists(messages.map(json.dumps).map(str.encode) | st.binary(max_size=50), max_size=30)


class Program:
    """Answers the first requests as it should, and the prompt with these lines. Implements `ProcessIO`."""

    def __init__(self, said: Sequence[bytes]) -> None:
        self.relay: RelayProgram | None = None
        self.last_words = ""
        self._said = said
        self._output: deque[bytes] = deque()
        self._changed = anyio.Event()
        self._is_over = False

    async def send(self, data: bytes) -> None:
        for line in data.splitlines():
            match json.loads(line):
                case {"id": number, "method": "initialize"}:
                    self._say({"id": number, "result": {"protocolVersion": 1}})
                case {"id": number, "method": "session/new"}:
                    self._say({"id": number, "result": {"sessionId": SESSION}})
                case {"id": number, "method": "session/prompt"}:
                    self._output += (line + b"\n" for line in self._said)
                    self._say({"id": number, "result": {"stopReason": "end_turn"}})
                case {"method": "session/cancel"}:
                    await self.close_input()

    async def receive(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        while not self._output:
            if self._is_over:
                return b""
            await self._changed.wait()
        return self._output.popleft()

    async def close_input(self) -> None:
        self._is_over = True
        self._tell()

    async def ended(self) -> Exit:
        return Exit(status=0, seconds=0, limit=None)

    def _say(self, message: Mapping[str, Any]) -> None:
        self._output.append(json.dumps(message).encode() + b"\n")
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class Turn(MemoryTurn):
    """A turn that shows nothing, and has room for so much on record as one of the server's own, in its proportion."""

    room = MOST_HELD

    async def say(self, text: str) -> None:
        pass

    async def think(self, description: str, subject: str = "", *, goes_on: bool = False) -> None:
        pass

    async def propose(self, proposals: Sequence[Proposal]) -> None:
        self.room -= sum(memory(proposal.args) for proposal in proposals)
        if self.room < 0:
            raise RemitError(Code.LIMIT_EXCEEDED, "too much")
        await super().propose(proposals)


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(lines)
def test_the_run_outlives_whatever_a_program_says(said: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(calls, "MAX_HELD", MOST_HELD)
        patched.setattr(calls, "ARGS_SECONDS", 0.01)
        anyio.run(_run, said)


async def _run(said: list[bytes]) -> None:
    terms = SessionTerms(
        workspace=Path("/"),
        servers=(),
        system_prompt=None,
        resume=False,
        meta={},
        advice={},
        mode=None,
        auth_method=None,
        version="1",
    )
    async with bounded(MOST_MEMORY):
        with anyio.fail_after(PATIENCE):
            with suppress(RemitError):
                await AcpRun(Turn(Path("/")), Program(said), terms).work()
