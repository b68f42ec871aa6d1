"""Masking that keeps nobody waiting: what takes long is done beside the event loop."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from server.json_text import memory
from server.threads import computed, stepped
from templates.redaction import Redactor
from templates.steps import Steps


async def redactor(secrets: Mapping[str, str], derived: Iterable[tuple[str, str]] = ()) -> Redactor:
    """Return what masks these values (name -> value), and these of (name, value)."""
    known = list(derived)
    size = sum(map(len, secrets.values())) + sum(len(value) for _, value in known)
    return await computed(size, Redactor, secrets, known)


async def redacted(redactor: Redactor, text: str) -> str:
    """Return a text with every secret in it masked."""
    return await stepped(len(text), redactor.redacting(text))


async def beginning(redactor: Redactor, text: str) -> str:
    """Return the same of a text whose end was cut off: without what may be the beginning of a secret."""
    return await stepped(len(text), redactor.stream().feeding(text))


async def within(redactor: Redactor, text: str, start: int, stop: int) -> str:
    """Return a text from `start` to `stop`, masked, also what is left there of a secret that is cut by these."""
    return await stepped(len(text), redactor.redacting(text, start, stop))


async def masked(redactor: Redactor, value: Any) -> Any:
    """Return a value of JSON with every secret in its texts masked, those of names included."""
    return await stepped(memory(value), _masking(redactor, value, parts=True))


async def masked_values(redactor: Redactor, value: Any) -> Any:
    """Return the same with whole values of secrets masked, and no single lines of those of many."""
    return await stepped(memory(value), _masking(redactor, value, parts=False))


async def masked_text(redactor: Redactor, value: Any) -> str:
    """Return the same as compact JSON."""
    return await stepped(memory(value), _text_masking(redactor, value))


def _masking(redactor: Redactor, value: Any, *, parts: bool) -> Steps[Any]:
    match value:
        case str():
            return (yield from redactor.redacting(value, parts=parts))
        case dict():
            shown = {}
            for name, each in value.items():
                name = yield from redactor.redacting(str(name), parts=parts)
                shown[name] = yield from _masking(redactor, each, parts=parts)
            return shown
        case list() | tuple():
            items: list[Any] = [None] * len(value)
            for number, each in enumerate(value):
                items[number] = yield from _masking(redactor, each, parts=parts)
            return items
        case _:
            return value


def _text_masking(redactor: Redactor, value: Any) -> Steps[str]:
    shown = yield from _masking(redactor, value, parts=True)
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
