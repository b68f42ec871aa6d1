"""Masking the secrets of a task in every text that comes out of it.

Only what programs do to a value in passing is undone (see `forms`); a deliberate transformation is not.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from templates.forms import forms, unbroken
from templates.search import Unbroken, line_breaks, occurrences, overlap

MIN_MASKED = 6
"""Values of fewer characters, line breaks not counted, are not masked: they would be found everywhere."""

MAX_LINES = 500
"""Lines, of all values together, of which each is masked by itself. Each is looked for in all that comes out: with
thousands, output would take seconds; and more lines than those of some private keys and settings files are rare."""

_MIN_BREAKS = 4
"""Line breaks that may interrupt a form anywhere, in characters: an empty line, of either kind."""


class _Match(NamedTuple):
    """Where a form stands in a text without line breaks. In order: by start, there the longest form first."""

    start: int
    rank: int
    end: int
    name: str


class Redactor:
    """Replaces the values of `secrets` (name -> value), in all their forms, by `[secret NAME]`.

    So are the texts `derived` from secrets, given as (name, text), and all of these without the blanks at their ends:
    an unquoted variable loses them in a shell. The single lines of texts, which programs like diff put marks before,
    are masked as they are: text by text, in the order given, of each that does not make them more than `MAX_LINES`.

    Line breaks inside a form do not hide it. Occurrences that overlap become one mask, named for the one that starts
    first, the longest of those; a form that two secrets share goes by the name that was given first.
    """

    def __init__(self, secrets: Mapping[str, str], derived: Iterable[tuple[str, str]] = ()) -> None:
        self.know(secrets, derived)

    def know(self, secrets: Mapping[str, str], derived: Iterable[tuple[str, str]] = ()) -> None:
        """Mask these from now on, instead of those before: also in streams that have begun."""
        self.too_short = tuple(name for name, value in secrets.items() if _is_short(value))
        """Names of the secrets that are not masked, because their values are shorter than `MIN_MASKED`."""
        names: dict[str, str] = {}
        whole: dict[str, str] = {}
        most, lines_left = _MIN_BREAKS, MAX_LINES
        for name, text in _masked([*secrets.items(), *derived]):
            most = max(most, _breaks_in(text))
            for form in forms(text):
                whole.setdefault(form, name)
                names.setdefault(form, name)
            lines = {line: name for line in _lines(text) if line not in names}
            if len(lines) <= lines_left:
                lines_left -= len(lines)
                names |= lines
        self._forms = _longest_first(names)
        self._whole = _longest_first(whole)
        self._breaks = line_breaks(most)
        size = max(map(len, names), default=0)
        self.longest = size + most * max(size - 1, 0)
        """Characters that one occurrence can take up in a text, with all the line breaks that are looked through."""

    def redact(self, text: str) -> str:
        """Return `text` with every occurrence of a secret replaced by its mask."""
        return self._mask(self._unbroken(text), 0, len(text))[0]

    def redact_tail(self, text: str) -> str:
        """Redact the end of a longer text that was cut anywhere, without what may be the rest of a secret.

        So it may begin up to `longest` characters later than `text`, and needs no margin before it.
        """
        tail = self._unbroken(text)
        rest = max((overlap(form, tail.text, len(form) - 1) for form, _ in self._forms), default=0)
        return self._mask(tail, tail.origin(rest), len(text))[0]

    def redact_within(self, text: str, start: int, stop: int) -> str:
        """Return `text` from `start` to `stop`, masked, also what of an occurrence is left that is cut there."""
        unbroken_text = self._unbroken(text)
        shown: list[str] = []
        covered = start
        for match in _matches(unbroken_text.text, self._forms):
            begin, end = unbroken_text.origin(match.start), unbroken_text.origin(match.end - 1) + 1
            if begin >= stop:
                break
            if end <= covered:
                continue
            if begin >= covered or not shown:
                shown += text[covered : max(begin, covered)], f"[secret {match.name}]"
            covered = end
        return "".join((*shown, text[covered:stop]))

    def contains(self, text: str) -> str | None:
        """Return the name of the first secret that stands in `text` in any form, or None.

        One line of a secret of many does not count: `apiVersion: v1` stands in every file of its kind.
        """
        return next((match.name for match in _matches(self._unbroken(text).text, self._whole)), None)

    def stream(self) -> "RedactionStream":
        """Return a redactor for one text that comes in pieces."""
        return RedactionStream(self)

    def _unbroken(self, text: str) -> Unbroken:
        return Unbroken(text, self._breaks)

    def _undecided(self, text: Unbroken) -> int:
        """Return where the longest end of `text` begins that can still become a form."""
        size = max((overlap(text.text, form, len(form) - 1) for form, _ in self._forms), default=0)
        return text.origin(len(text.text) - size)

    def _mask(self, text: Unbroken, covered: int, stop: int) -> tuple[str, int]:
        """Return the original from `covered` to `stop`, masked, and where the last mask or else `covered` ends.

        What begins before `covered` belongs to a mask that was shown already.
        """
        shown: list[str] = []
        for match in _matches(text.text, self._forms):
            start = text.origin(match.start)
            if start >= stop:
                break
            if start >= covered:
                shown += text.original[covered:start], f"[secret {match.name}]"
            covered = max(covered, text.origin(match.end - 1) + 1)
        shown.append(text.original[covered:stop])
        return "".join(shown), covered


class RedactionStream:
    """Redacts one text in pieces: what it returns, put together, is what `Redactor.redact` makes of the whole.

    Where the text goes on but nobody will see it, leave `finish` out: the piece held back may begin a secret.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self._covered = 0  # so much of what is held belongs to a mask that was shown

    @property
    def held(self) -> int:
        """Characters taken in and not decided on yet: less than `Redactor.longest`."""
        return len(self._held)

    def feed(self, text: str) -> str:
        """Take the next piece and return what can be shown: all but an end that can still become a secret."""
        self._held += text
        unbroken_text = self._redactor._unbroken(self._held)
        return self._show(unbroken_text, self._redactor._undecided(unbroken_text))

    def finish(self) -> str:
        """Return the rest, masked. The text ends here."""
        return self._show(self._redactor._unbroken(self._held), len(self._held))

    def _show(self, text: Unbroken, stop: int) -> str:
        if stop == 0:  # spares the search, over and over, while a long secret comes in small pieces
            return ""
        shown, covered = self._redactor._mask(text, self._covered, stop)
        self._held = self._held[stop:]
        self._covered = max(covered - stop, 0)
        return shown


def _longest_first(names: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(names.items(), key=lambda item: len(item[0]), reverse=True)


def _matches(text: str, named_forms: Iterable[tuple[str, str]]) -> list[_Match]:
    return sorted(
        _Match(start, rank, end, name)
        for rank, (form, name) in enumerate(named_forms)
        for start, end in occurrences(text, form)
    )


def _masked(named: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield every text that is long enough, as it is and as `echo $NAME` leaves its blanks, each once for a name."""
    texts = dict.fromkeys((name, form) for name, text in named for form in (text, text.strip(), " ".join(text.split())))
    return ((name, text) for name, text in texts if not _is_short(text))


def _lines(text: str) -> Iterator[str]:
    return (line for each in re.split(r"[\r\n]+", text) if not _is_short(line := each.strip()))


def _is_short(text: str) -> bool:
    return len(unbroken(text)) < MIN_MASKED


def _breaks_in(value: str) -> int:
    """Return the longest run of line breaks in `value`, in characters, twice: a terminal makes two of each."""
    return 2 * max(map(len, re.findall(r"[\r\n]+", value.strip("\r\n"))), default=0)
