"""Answers of a scripted model, and the scripts that choose them by the request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from tests.models.conversation import Request

MODEL = "scripted"
SMALL_MODEL = "scripted-small"
"""For the titles, summaries and the like that agents ask for on the side; no script hears of it."""


@dataclass(frozen=True)
class Think:
    """Reason, where others may see it."""

    text: str


@dataclass(frozen=True)
class Say:
    """Speak."""

    text: str


@dataclass(frozen=True)
class Use:
    """Call a tool, by the very name it was offered under."""

    tool: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Hold:
    """Say nothing more until it is released, or whoever asked has left."""

    reached: Event = field(default_factory=Event)
    released: Event = field(default_factory=Event)
    left: Event = field(default_factory=Event)
    """Set when whoever asked has left before it was released."""


@dataclass(frozen=True)
class Fail:
    """Refuse, as providers do: 401 for a wrong key, 429 for too much, 529 when overloaded."""

    status: int
    message: str


Step = Think | Say | Use | Hold
Answer = Step | Sequence[Step] | Fail
Script = Callable[[Request], Answer]


def steps(*answers: Answer) -> Script:
    """Give these answers to each prompt, one after the other, wherever the conversation is taken up again."""

    def script(request: Request) -> Answer:
        assert request.answers < len(answers), f"asked once more than foreseen, after {request.results}"
        return answers[request.answers]

    return script


def prompts(scripts: dict[str, Script]) -> Script:
    """Follow the script whose key is in the latest prompt."""

    def script(request: Request) -> Answer:
        (found,) = (script for words, script in scripts.items() if words in request.prompt)
        return found(request)

    return script


def relay(tool: str, **args: Any) -> Script:
    """Call a tool, named as `Request.tool` finds it, and then say what came of it."""

    def script(request: Request) -> Answer:
        return Say(request.results[-1].text) if request.results else Use(request.tool(tool), args)

    return script
