"""Positions in a text without its line breaks, and where they are in the text itself."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from operator import add

_BREAKS = re.compile(r"[\r\n]+")


class Unbroken:
    """A text without its line breaks, that still knows where each character stood.

    Runs of more than `most` characters of line breaks are left in.
    """

    def __init__(self, text: str, most: int) -> None:
        self.original = text
        self._most = most
        self._has_long_runs = "\n" * (most + 1) in text.replace("\r", "\n")
        if self._has_long_runs:
            self.text = _BREAKS.sub(lambda run: run[0] if len(run[0]) > most else "", text)
        else:
            self.text = text.replace("\n", "").replace("\r", "")

    @cached_property
    def places(self) -> Sequence[int]:
        """The indices in `.text` before which breaks were, in order; one may be given several times."""
        if self._has_long_runs:
            return [start - gone for (start, end), gone in zip(self._runs, (0, *self.removed), strict=False)]
        return list(accumulate(map(len, self.original.replace("\r", "\n").split("\n"))))[:-1]

    @cached_property
    def removed(self) -> Sequence[int]:
        """The characters that are gone before each of `places`."""
        if self._has_long_runs:
            return list(accumulate(end - start for start, end in self._runs))
        return range(1, len(self.places) + 1)

    def origin(self, index: int) -> int:
        """Return where the character at `index` of `.text` stands in the original; the end's origin is the end."""
        place = bisect_right(self.places, index)
        return index + (self.removed[place - 1] if place else 0)

    @cached_property
    def _runs(self) -> list[tuple[int, int]]:
        runs = [run.span() for run in _BREAKS.finditer(self.original)]
        return [(start, end) for start, end in runs if end - start <= self._most]


class Origins:
    """Where the characters of a text without line breaks stood in it, for those that are still asked for."""

    def __init__(self) -> None:
        self._new: list[tuple[Unbroken, int, int]] = []  # of which nothing was asked yet
        self._indices: list[int] = []
        self._origins: list[int] = []

    def __call__(self, index: int) -> int:
        """Return where the character at `index` stands, line breaks counted."""
        self._take_in()
        place = bisect_right(self._indices, index) - 1
        return self._origins[place] + index - self._indices[place]

    def add(self, piece: Unbroken, first: int, origin: int) -> None:
        """Take in a piece, whose first character has the index `first`; what was said of later ones counts no more."""
        self._new.append((piece, first, origin))

    def forget(self, index: int, end: int) -> None:
        """Forget what is before `index`; the next piece begins at `end`."""
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
