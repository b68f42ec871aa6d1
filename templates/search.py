"""Finding strings in long texts, in time that grows with the text and not with what repeats in it."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property

# Only a text that nearly repeats itself, like the string sought, has more candidates than this at one scale.
_CANDIDATES = 32


def line_breaks(most: int) -> re.Pattern[str]:
    """Return a pattern for at most `most` characters of line breaks in a row; a longer run does not match at all."""
    return re.compile(rf"[\r\n](?<![\r\n]{{2}})[\r\n]{{0,{most - 1}}}+(?![\r\n])")


class Unbroken:
    """A text without what `breaks` matches, that still knows where each character stood."""

    def __init__(self, text: str, breaks: re.Pattern[str]) -> None:
        self.original = text
        self.text = breaks.sub("", text)
        self._pattern = breaks

    def origin(self, index: int) -> int:
        """Return where the character at `index` of `.text` stands in the original; the end's origin is the end."""
        places, removed = self._breaks
        return index + removed[bisect_right(places, index)]

    @cached_property
    def _breaks(self) -> tuple[list[int], list[int]]:
        """Where breaks were in `.text`, and how many characters are gone before the first, the second, …"""
        places, removed = [], [0]
        for match in self._pattern.finditer(self.original):
            places.append(match.start() - removed[-1])
            removed.append(removed[-1] + len(match[0]))
        return places, removed


def occurrences(text: str, form: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of where `form` stands in `text`; occurrences that overlap come as one.

    Linear: an overlap at distance d means that `form` repeats itself every d characters, so that only d more
    need be compared for the next; and where such a row ends, the next overlap is at least half of `form` away.
    """
    start = text.find(form)
    while start >= 0:
        last, following = start, text.find(form, start + 1)
        while 0 <= following < last + len(form):
            period, last = form[last - following :], following
            while text.startswith(period, last + len(form)):
                last += len(period)
            following = text.find(form, last + 1)
        yield start, last + len(form)
        start = following


def overlap(left: str, right: str, most: int) -> int:
    """Return the length, at most `most`, of the longest end of `left` that is a beginning of `right`.

    Where a text repeats itself so much that this would be slow, the answer may be too large, never too small.
    """
    size = min(most, len(left), len(right))
    while size:  # lengths of `least` to `size`, then the shorter half
        least = size // 2 + 1
        start = len(left) - size
        for _ in range(_CANDIDATES):
            start = left.find(right[:least], start)
            if start < 0:
                break
            if right.startswith(left[start:]):
                return len(left) - start
            start += 1
        else:
            return len(left) - start
        size = least - 1
    return 0
