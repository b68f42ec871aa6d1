"""Texts without line breaks and color codes, and the mapping of their indices to the original text."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from operator import add

_BREAKS = re.compile(r"[\r\n]+")
_COLOR = r"\x1b\[[0-9;:]{0,16}[mK]"  # ECMA-48: SGR, and the EL that grep adds
_GAPS = re.compile(rf"[\r\n]+|{_COLOR}")
_COLOR_BEGUN = re.compile(r"\x1b(?:\[[0-9;:]{0,16})?\Z")
_LONGEST_BEGUN = 18  # characters: the longest color code in use is 38;2;255;255;255


def without_color_begun(text: str) -> int:
    """Return the length of `text` without an incomplete color code at its end."""
    begun = _COLOR_BEGUN.search(text, max(len(text) - _LONGEST_BEGUN, 0))
    return begun.start() if begun else len(text)


class Unbroken:
    """A text without its line breaks, with the original index of each character.

    Runs of more than `most` characters of line breaks are kept. With `colors`, color codes are removed as well.
    """

    def __init__(self, text: str, most: int, *, colors: bool = False) -> None:
        self.original = text
        self._most = most
        self._gaps = _GAPS if colors and "\x1b" in text else _BREAKS
        lines = text.replace("\r", "\n")
        self.has_soft = "=" in text and ("=\n" in lines or text[-1] == "=")
        """Whether a line ends in `=`, the soft line break of mails (RFC 2045 §6.7)."""

        has_long_runs = "\n" * (most + 1) in lines
        self._is_regular = self._gaps is _BREAKS and not has_long_runs
        if self._is_regular:
            self.text = text.replace("\n", "").replace("\r", "")
        elif not has_long_runs:
            self.text = self._gaps.sub("", text)
        else:
            self.text = self._gaps.sub(lambda gap: "" if self._is_gone(gap[0]) else gap[0], text)

    @cached_property
    def places(self) -> Sequence[int]:
        """The indices in `.text` before which something was removed, in order; an index may occur several times."""
        if self._is_regular:
            return list(accumulate(map(len, self.original.replace("\r", "\n").split("\n"))))[:-1]
        return [start - gone for (start, _), gone in zip(self._runs, (0, *self.removed), strict=False)]

    @cached_property
    def lines(self) -> Sequence[int]:
        """The `places` before which line breaks were removed."""
        if self._gaps is _BREAKS:
            return self.places
        runs = zip(self._runs, self.places, strict=True)
        return [place for (start, _), place in runs if self.original[start] != "\x1b"]

    @cached_property
    def removed(self) -> Sequence[int]:
        """The number of characters removed from the text up to each of `places`."""
        if self._is_regular:
            return range(1, len(self.places) + 1)
        return list(accumulate(end - start for start, end in self._runs))

    def origin(self, index: int) -> int:
        """Return the original index of the character at `index` of `.text`; the end maps to the end."""
        place = bisect_right(self.places, index)
        return index + (self.removed[place - 1] if place else 0)

    @cached_property
    def _runs(self) -> list[tuple[int, int]]:
        return [gap.span() for gap in self._gaps.finditer(self.original) if self._is_gone(gap[0])]

    def _is_gone(self, gap: str) -> bool:
        return len(gap) <= self._most or gap[0] == "\x1b"


class Origins:
    """The original indices of a text that comes in pieces without line breaks, as far back as still needed."""

    def __init__(self) -> None:
        self._new: list[tuple[Unbroken, int, int]] = []  # pieces that were not needed yet
        self._indices: list[int] = []
        self._origins: list[int] = []

    def __call__(self, index: int) -> int:
        """Return the original index of the character at `index`."""
        self._take_in()
        place = bisect_right(self._indices, index) - 1
        return self._origins[place] + index - self._indices[place]

    def add(self, piece: Unbroken, first: int, origin: int) -> None:
        """Add a piece whose first character has the index `first` and the original index `origin`.

        It replaces what was added for this and later indices.
        """
        self._new.append((piece, first, origin))

    def forget(self, index: int, end: int) -> None:
        """Discard what is before `index`; the next piece begins at `end`."""
        if index >= end:
            self._new, self._indices, self._origins = [], [], []
            return
        self._take_in()
        place = max(bisect_right(self._indices, index) - 1, 0)
        del self._indices[:place], self._origins[:place]

    def _take_in(self) -> None:
        for piece, first, origin in self._new:
            place = bisect_left(self._indices, first)
            del self._indices[place:], self._origins[place:]
            if not self._indices or self._origins[-1] - self._indices[-1] != origin - first:
                self._indices.append(first)
                self._origins.append(origin)
            self._indices += map(first.__add__, piece.places)
            self._origins += map(origin.__add__, map(add, piece.places, piece.removed))
        self._new = []
