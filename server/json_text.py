"""JSON from strangers: whether its text holds too much to be read, what its values take, and whether they are whole."""

import json
import sys
from collections.abc import Iterable
from typing import Any

MAX_VALUES = 100_000
"""Values in one message: so many are read in a tenth of a second. No request that is meant has more than 20,000."""

MAX_DEPTH = 100
"""Objects and lists within each other: what stores, checks and shows them goes no deeper than some 200."""


def holds_too_many(text: bytes | str) -> bool:
    """Whether a text of JSON may hold more than MAX_VALUES values, names of fields counted; 32 MiB take 0.3 s."""
    if len(text) <= MAX_VALUES:
        return False
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 2 * MAX_VALUES:
        return True
    outside = b"".join(plain.split(b'"')[::2])
    return sum(map(outside.count, (b",", b"[", b"{"))) > MAX_VALUES


def is_whole(value: Any) -> bool:
    """Whether a value of JSON holds no half of a surrogate pair, which no UTF-8 can hold.

    Raises RecursionError for a value that is nested too deeply to be looked at.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def is_too_deep(value: Any) -> bool:
    """Whether objects and lists stand within each other more than MAX_DEPTH deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [each for outer in level for each in _within(outer)]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)


def memory(value: Any) -> int:
    """Return the bytes of memory that a value of JSON takes: small objects and lists take twenty times their text."""
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
