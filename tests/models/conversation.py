"""Requests to a model, independent of their wire format."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

Json = dict[str, Any]


class Malformed(Exception):
    """A conversation that no provider takes: its text says why."""


@dataclass(frozen=True)
class Result:
    """The result of a tool call."""

    call_id: str
    tool: str
    text: str


@dataclass(frozen=True)
class Message:
    """A message of one side; the user's is either text or the results of calls."""

    role: Literal["user", "assistant"]
    text: str = ""
    results: tuple[Result, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to a model, as it was read and as it came."""

    path: str
    headers: dict[str, str]
    """By lower-case name."""

    raw: bytes
    body: Json
    key: str
    """What the client authenticated itself with; empty if with nothing."""

    system: str
    messages: tuple[Message, ...]
    tools: tuple[str, ...]
    """The names of what was offered."""

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return str(self.body["model"])

    @property
    def streams(self) -> bool:
        """Whether the answer is to come as it is made."""
        return bool(self.body.get("stream"))

    @property
    def prompt(self) -> str:
        """The latest that a person wrote."""
        return self.messages[self._asked].text

    @property
    def results(self) -> tuple[Result, ...]:
        """What came of the calls since then, in order."""
        return tuple(result for message in self.messages[self._asked :] for result in message.results)

    @property
    def answers(self) -> int:
        """How often the model has answered since then."""
        return sum(message.role == "assistant" for message in self.messages[self._asked :])

    def tool(self, name: str) -> str:
        """Return the whole name of the one tool that ends in this name: agents put that of its server before it."""
        (found,) = (tool for tool in self.tools if tool == name or tool.endswith(f"_{name}"))
        return found

    @property
    def _asked(self) -> int:
        return max(i for i, message in enumerate(self.messages) if message.role == "user" and not message.results)


def merged(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Join messages of one role that follow each other: some clients split what they send."""
    groups = (list(group) for _, group in groupby(messages, lambda message: (message.role, bool(message.results))))
    return tuple(
        Message(
            group[0].role,
            "\n".join(message.text for message in group if message.text),
            tuple(result for message in group for result in message.results),
        )
        for group in groups
    )


class Calls:
    """The calls of a conversation: each must be answered once, and before anything else is said."""

    def __init__(self) -> None:
        self._tools: dict[str, str] = {}
        self._open: list[str] = []

    def made(self, call_id: str, tool: str) -> None:
        """Record that the model called a tool. Raises Malformed for an id that was used before."""
        if call_id in self._tools:
            raise Malformed(f"the id {call_id} is that of two calls")
        self._tools[call_id] = tool
        self._open.append(call_id)

    def answered(self, call_id: str, text: str) -> Result:
        """Record and return the client's result of a call. Raises Malformed if no call waits for it."""
        if call_id not in self._open:
            raise Malformed(f"no call {call_id} waits for a result")
        self._open.remove(call_id)
        return Result(call_id, self._tools[call_id], text)

    def settle(self) -> None:
        """Check that no call is open, before something else is said. Raises Malformed if a call has no result yet."""
        if self._open:
            raise Malformed(f"these calls have no result: {', '.join(self._open)}")
