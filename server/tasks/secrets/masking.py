"""Masking without blocking the event loop: long texts are masked in steps or in a thread."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from server.json_text import memory
from server.threads import computed, stepped
from templates.redaction import Redactor
from templates.steps import Steps


async def redactor(secrets: Mapping[str, str], derived: Iterable[tuple[str, str]] = ()) -> Redactor:
    """Return the redactor of these secrets (name -> value) and of derived (name, value) pairs."""
    known = list(derived)
    size = sum(map(len, secrets.values())) + sum(len(value) for _, value in known)
    return await computed(size, Redactor, secrets, known)


async def redacted(redactor: Redactor, text: str) -> str:
    """Return a text with every secret in it masked."""
    return await stepped(len(text), redactor.redacting(text))


async def beginning(redactor: Redactor, text: str) -> str:
    """Return a text whose end was cut off, masked, without an end that may begin a secret."""
    return await stepped(len(text), redactor.stream().feeding(text))


async def within(redactor: Redactor, text: str, start: int, stop: int) -> str:
    """Return `text[start:stop]`, masked, including parts of secrets that are cut by its ends."""
    return await stepped(len(text), redactor.redacting(text, start, stop))


async def masked(redactor: Redactor, value: Any) -> Any:
    """Return a JSON value with every secret in its texts and names masked."""
    return await stepped(memory(value), _masking(redactor, value, parts=True))


async def masked_values(redactor: Redactor, value: Any) -> Any:
    """Return a JSON value with only whole secret values masked, not single lines of multi-line ones."""
    return await stepped(memory(value), _masking(redactor, value, parts=False))


async def masked_text(redactor: Redactor, value: Any) -> str:
    """Return a JSON value with every secret masked, as compact JSON."""
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
