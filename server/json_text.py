"""Checks of JSON from untrusted senders: number of values, depth, memory, and well-formed Unicode."""

import json
import sys
from collections.abc import Iterable
from typing import Any

MAX_VALUES = 100_000
"""Values in one message: so many are parsed in 0.1 s. No legitimate request has more than 20,000."""

MAX_DEPTH = 100
"""Nested objects and lists; the code that stores, validates and shows them fails at a depth of some 200."""


def holds_too_many(text: bytes | str) -> bool:
    """Return whether JSON text may hold more than MAX_VALUES values, keys included; 32 MiB take 0.3 s."""
    if len(text) <= MAX_VALUES:
        return False
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 2 * MAX_VALUES:
        return True
    outside = b"".join(plain.split(b'"')[::2])
    return sum(map(outside.count, (b",", b"[", b"{"))) > MAX_VALUES


def is_whole(value: Any) -> bool:
    """Return whether a JSON value has no unpaired surrogate, which UTF-8 cannot encode.

    Raises RecursionError for a value that is nested too deeply to be checked.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def is_too_deep(value: Any) -> bool:
    """Return whether objects and lists are nested more than MAX_DEPTH deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [each for outer in level for each in _within(outer)]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)


def memory(value: Any) -> int:
    """Return the bytes of memory that a JSON value takes; small objects and lists take twenty times their text."""
    taken, level = 0, [value]
    while level:
        taken += sum(map(sys.getsizeof, level))
        level = [each for outer in level for each in _held(outer)]
    return taken


def _held(value: Any) -> Iterable[Any]:
    return (*value, *value.values()) if isinstance(value, dict) else _within(value)


def _within(value: Any) -> Iterable[Any]:
    match value:
        case dict():
            return value.values()
        case list() | tuple():
            return value
        case _:
            return ()
