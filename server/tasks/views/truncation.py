"""Truncation of answers: long values are shortened until the answer, as compact JSON, is within its limit.

An answer has a fixed part and elastic parts. Each elastic part gets the few characters it needs to say that it was
shortened, and of what is then left, its share by weight; what a small part does not need goes to the others.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

T = TypeVar("T")

RAISE = "raise maxChars"
"""Advice that is given if there is no better way to read on."""

_FLOOR = 40
"""Characters in which a value of any length says how much of it is missing."""

_MIDDLE = 300
"""Characters from which on a text keeps its end as well as its beginning."""

_ESCAPED = {chr(code): 6 for code in range(32)} | dict.fromkeys('"\\\b\f\n\r\t', 2)
"""Characters that a character takes in JSON, where it takes more than one."""

_CHUNK = 4096
"""Characters that are measured at a time."""

_WIDTHS = (1000, 300, 100, 50)
"""Characters of each text in a value that is too long, tried one after the other."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """A part of an answer that may be shortened: `place` puts it there in at most so many characters."""

    place: Callable[[int], None]
    want: int
    weight: int
    floor: int


def size(value: Any) -> int:
    """Return the characters that a value takes as compact JSON."""
    return len(_encode(value))


def fill(view: Mapping[str, Any], parts: Sequence[AnswerPart], max_chars: int) -> None:
    """Place the parts into an answer that has its fixed part, so that the whole takes at most `max_chars`."""
    for part, room in zip(parts, shares(max_chars - size(view), parts), strict=True):
        part.place(room)


def shares(room: int, parts: Sequence[AnswerPart]) -> list[int]:
    """Return the characters for each part: all it wants if that fits, else its floor and a share by weight."""
    given = [min(part.want, part.floor) for part in parts]
    left = max(room - sum(given), 0)
    short = {index for index, part in enumerate(parts) if given[index] < part.want}
    while short:
        weights = sum(parts[index].weight for index in short)
        content = {
            index for index in short if (parts[index].want - given[index]) * weights <= left * parts[index].weight
        }
        if not content:
            for index in short:
                given[index] += left * parts[index].weight // weights
            break
        left -= sum(parts[index].want - given[index] for index in content)
        for index in content:
            given[index] = parts[index].want
        short -= content
    return given


def text(view: Any, name: str, value: str, weight: int = 1, hint: str = RAISE) -> AnswerPart:
    """Return the part for a text; if too long, it keeps its beginning and its end, or its beginning alone."""
    return _part(view, name, value, lambda value, room: cut(value, room, hint), weight)


def values(view: Any, name: str, value: Mapping[str, Any], weight: int = 1) -> AnswerPart:
    """Return the part for a caller's object; if too long, its texts are shortened, then its last entries left out."""
    return _part(view, name, value, narrowed, weight)


def items(
    view: Any,
    name: str,
    value: Sequence[T],
    omitted: str | None,
    *,
    narrow: Callable[[T, int], T] | None = None,
    least: int = _FLOOR,
    latest: bool = False,
    whole: bool = False,
    weight: int = 1,
    gone: int = 0,
) -> AnswerPart:
    """Return the part for a list: the first or the latest items that fit; `omitted` counts the others.

    Args:
        view: the object it belongs to.
        name: of the list.
        value: the items.
        omitted: the field that counts what is not shown, and `gone`; None where a reader knows it otherwise.
        narrow: shortens an item to so many characters, `least` or more; None for items that are shown whole or not.
        least: characters that the part is given in any case.
        latest: whether the last items are kept, rather than the first.
        whole: whether no item is shortened but one that has no room by itself.
        weight: see `AnswerPart`.
        gone: items that are left out before.
    """
    counter = len(omitted) + 12 if omitted else 0

    def place(room: int) -> None:
        ordered = value[::-1] if latest else value
        shown = _listed(ordered, room - len(name) - 6 - counter, narrow, least, most=1 if whole else 4)
        shown = shown[::-1] if latest else shown
        view[name] = shown
        if omitted and (missing := gone + len(value) - len(shown)):
            view[omitted] = missing

    want = size(value) + len(name) + 4 + counter
    return AnswerPart(place, want, weight, least + len(name) + 6 + counter)


def cut(text: str, room: int, hint: str = RAISE) -> str:
    """Shorten a text to `room` characters of JSON, 40 or more; the characters left out are counted in it."""
    if size(text) <= room:
        return text
    if room < _MIDDLE:
        kept = beginning(text, room - 32)
        return f"{kept}… [{len(text) - len(kept)} more characters]"
    left = room - 50 - size(hint)
    head, tail = beginning(text, left // 3), end(text, left - left // 3)
    return f"{head}\n[… {len(text) - len(head) - len(tail)} characters left out here; {hint} …]\n{tail}"


def beginning(text: str, room: int) -> str:
    """Return the longest beginning of a text that takes `room` characters in a string of JSON."""
    for start in range(0, len(text), _CHUNK):
        chunk = text[start : start + _CHUNK]
        if (taken := size(chunk) - 2) > room:
            costs = list(accumulate(_ESCAPED.get(each, 1) for each in chunk))
            return text[: start + bisect_right(costs, room)]
        room -= taken
    return text


def end(text: str, room: int) -> str:
    """Return the longest end of a text that takes `room` characters in a string of JSON."""
    return beginning(text[-max(room, 1) :][::-1], room)[::-1]


def narrowed(value: Mapping[str, Any], room: int) -> dict[str, Any]:
    """Shorten an object to `room` characters of JSON, 40 or more."""
    if size(value) <= room:
        return dict(value)
    shown: Mapping[str, Any] = value
    for width in (room // 2, *_WIDTHS):
        shown = {name: _shortened(each, min(width, room)) for name, each in value.items()}
        if size(shown) <= room:
            return dict(shown)
    kept: dict[str, Any] = {}
    left = room - 40
    for name, each in shown.items():
        left -= size({name: each}) - 1
        if left < 0:
            break
        kept[name] = each
    return kept | {"…": f"{len(value) - len(kept)} more; {RAISE}"}


def _shortened(value: Any, room: int) -> Any:
    match value:
        case str():
            return cut(value, room)
        case dict():
            return {name: _shortened(each, room) for name, each in value.items()}
        case list():
            return [_shortened(each, room) for each in value]
        case _:
            return value


def _part(view: Any, name: str, value: T, shorten: Callable[[T, int], T], weight: int) -> AnswerPart:
    taken = len(name) + 4  # quotes, colon and comma

    def place(room: int) -> None:
        view[name] = shorten(value, room - taken)

    return AnswerPart(place, size(value) + taken, weight, _FLOOR + taken)


def _listed(value: Sequence[T], left: int, narrow: Callable[[T, int], T] | None, least: int, *, most: int) -> list[T]:
    """Return the first items in `left` characters; if others follow, none takes more than one part in `most`.

    All of them stay whole where they fit together.
    """
    if size(value) - 2 <= left:
        return list(value)
    shown: list[T] = []
    for index, item in enumerate(value):
        room = left // min(most, len(value) - index)
        if narrow and size(item) > room and (most > 1 or not shown):
            item = narrow(item, max(least, room))
        left -= size(item) + 1
        if left < -1:
            break
        shown.append(item)
    return shown
