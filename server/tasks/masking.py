"""Masking that keeps nobody waiting: what takes long is done beside the event loop."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from server.json_text import memory
from server.worker import computed
from templates.redaction import Redactor


async def redactor(secrets: Mapping[str, str], derived: Iterable[tuple[str, str]] = ()) -> Redactor:
    """Return what masks these values (name -> value), and these of (name, value)."""
    known = list(derived)
    size = sum(map(len, secrets.values())) + sum(len(value) for _, value in known)
    return await computed(size, Redactor, secrets, known)


async def redacted(redactor: Redactor, text: str) -> str:
    """Return a text with every secret in it masked."""
    return await computed(len(text), redactor.redact, text)


async def beginning(redactor: Redactor, text: str) -> str:
    """Return the same of a text whose end was cut off: without what may be the beginning of a secret."""
    return await computed(len(text), redactor.redact_beginning, text)


async def within(redactor: Redactor, text: str, start: int, stop: int) -> str:
    """Return a text from `start` to `stop`, masked, also what is left there of a secret that is cut by these."""
    return await computed(len(text), redactor.redact_within, text, start, stop)


async def masked(redactor: Redactor, value: Any) -> Any:
    """Return a value of JSON with every secret in its texts masked, those of names included."""
    return await computed(memory(value), _masked, redactor.redact, value)


async def masked_values(redactor: Redactor, value: Any) -> Any:
    """Return the same with whole values of secrets masked, and no single lines of those of many."""
    return await computed(memory(value), _masked, redactor.redact_values, value)


async def masked_text(redactor: Redactor, value: Any) -> str:
    """Return the same as compact JSON."""
    return await computed(memory(value), _masked_text, redactor, value)


def _masked(redact: Callable[[str], str], value: Any) -> Any:
    match value:
        case str():
            return redact(value)
        case dict():
            return {redact(str(name)): _masked(redact, each) for name, each in value.items()}
        case list() | tuple():
            return [_masked(redact, each) for each in value]
        case _:
            return value


def _masked_text(redactor: Redactor, value: Any) -> str:
    return json.dumps(_masked(redactor.redact, value), ensure_ascii=False, separators=(",", ":"))
