"""Plain error messages for failed validation (pydantic) and for shortages of the machine (errno)."""

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.characters import visible
from server.patterns import FORMS

_SHOWN = 40
"""Characters of a value that are repeated in a message."""

_WORDS = {
    "missing": "is required",
    "extra_forbidden": "is unknown",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text",
    "string_unicode": "must be a text in UTF-8",
    "path_type": "must be a path",
    "byte_size": "must be a size: bytes, or a text like 4GiB",
    "byte_size_unit": "must be a size: bytes, or a text like 4GiB",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number that is not infinite",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_long": "must have at most {max_length} characters",
}
"""The message for each pydantic error type, with placeholders for its context."""

_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Shortage:
    """A shortage or failure of the machine, and advice, in words."""

    what: str
    advice: str
    passes: bool = False
    """Whether work can wait for it to pass: disk space or descriptors become free again."""

    def __str__(self) -> str:
        """Return the whole message."""
        return f"{self.what}: {self.advice}"


DESCRIPTORS = Shortage(
    "this server has as many files open as it may",
    "try again when fewer tasks are at work, or raise the hard limit (`ulimit -Hn`) that it is started with",
    passes=True,
)

_SHORTAGES = {
    errno.ENOSPC: Shortage(
        "the disk is full, or takes no more files (`df -h`, `df -i` tell which)",
        "make room, then try again",
        passes=True,
    ),
    errno.EDQUOT: Shortage("your quota of the disk is used up", "make room, then try again", passes=True),
    errno.EROFS: Shortage("the disk can only be read", "mount it so that it can be written, then try again"),
    errno.EIO: Shortage("the disk fails to read or to write", "the kernel's log says more"),
    errno.EMFILE: DESCRIPTORS,
    errno.ENFILE: Shortage(
        "this machine has as many files open as it may (fs.file-max)", "try again later", passes=True
    ),
    errno.ENOMEM: Shortage("this machine has no memory left", "try again later"),
}
"""The shortage that each errno means."""


def shortage(error: BaseException | None) -> Shortage | None:
    """Return the shortage that caused an error; None if none did."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _SHORTAGES:
            return _SHORTAGES[error.errno]
        error = error.__cause__
    return None


def in_words(kind: str, message: str, context: Mapping[str, Any]) -> str:
    """Return a pydantic error in words, from its type, its message and its context."""
    match kind:
        case "string_pattern_mismatch":
            return f"must be {FORMS[context['pattern']]}"
        case "too_short" | "string_too_short" if context["min_length"] == 1:
            return "must not be empty"
        case "too_long":  # also of a text, where a validator of remit's comes before its length
            unit = "items" if context["field_type"] in ("List", "Dictionary") else "characters"
            return f"must have at most {context['max_length']} {unit}"
        case _ if kind in _WORDS:
            return _WORDS[kind].format_map({name: _plain(value) for name, value in context.items()})
    return message.removeprefix("Value error, ")


def but_is(kind: str, value: Any, *, repeated: bool) -> str:
    """Return the end of the message that says what was given instead; empty where that says nothing.

    A word or a number is repeated if `repeated` allows it, that is where it can be no secret; otherwise only its type
    is named.
    """
    if not _WORDS.get(kind, "").startswith("must be"):
        return ""
    if isinstance(value, str) and repeated:
        return f", not '{visible(value[:_SHOWN])}{' …' if len(value) > _SHOWN else ''}'"
    if isinstance(value, str) and not kind.endswith("_type"):
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f", not {json.dumps(value)[:_SHOWN]}" if repeated else ", not a number"
    return f", not {_KINDS[type(value)]}" if type(value) in _KINDS else ""


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
