"""Masking of a task's secrets in every text that it produces.

The common encodings and escapes of a value are found (see `forms` and `escapes`), deliberate transformations are not.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import NamedTuple

from templates.automaton import Automaton
from templates.forms import encoded, unbroken
from templates.search import Occurrence, Scanner
from templates.steps import Steps, finished, pieces

MIN_MASKED = 6
"""Values of fewer characters, without line breaks, are not masked: they would match everywhere."""

MAX_LINES = 500
"""Lines, of all values together, that are masked individually. Searching for thousands would delay output by seconds;
more lines than those of some private keys and settings files are rare."""

_MIN_BREAKS = 4
"""Characters of line breaks that may interrupt a form anywhere: an empty line with CRLF."""


MAX_TAKEN = 4 * 1024**2
"""Characters of the longest occurrence: a value of 64 KiB, however escaped and broken, takes fewer."""

_MOST_TAKEN = 9  # characters for a byte of a value: `\\\\u0001` in JSON within JSON within JSON


class _Sought(NamedTuple):
    """The forms to search for. Immutable, so that a thread can read a text while another adds secrets."""

    whole: Automaton
    parts: Automaton
    """The words of `whole`, and the single lines of values."""

    encoded: Automaton
    most_breaks: int
    longest: int

    def scanners(self, *, parts: bool) -> tuple[Scanner, Scanner]:
        """Return scanners of a new text for the values (with their single lines if `parts`), and for encoded forms."""
        return (
            Scanner(self.parts if parts else self.whole, self.most_breaks, self.longest, marked=False),
            Scanner(self.encoded, self.most_breaks, self.longest, marked=True),
        )


class Redactor:
    """A redactor that replaces the values of `secrets` (name -> value), in all their forms, by `[secret NAME]`.

    It also masks the texts `derived` from secrets, given as (name, text), and all values without the blanks at their
    ends, which an unquoted variable loses in a shell. Single lines of values are masked, too, since programs like diff
    put marks before each: value by value, in the order given, skipping a value that would exceed `MAX_LINES` in all.

    Line breaks and escapes inside a form do not hide it. Overlapping occurrences become one mask with the name of the
    one that starts first, or of the longest of those. A form of two secrets gets the name that was given first.
    """

    def __init__(self, secrets: Mapping[str, str], derived: Iterable[tuple[str, str]] = ()) -> None:
        self.know(secrets, derived)

    def know(self, secrets: Mapping[str, str], derived: Iterable[tuple[str, str]] = ()) -> None:
        """Replace the secrets to mask, in running streams as well."""
        self.too_short = too_short(secrets)
        """Names of the secrets that are not masked, because their values are shorter than `MIN_MASKED`."""
        self._sought = _sought(_masked([*secrets.items(), *derived]))

    def become(self, other: "Redactor") -> None:
        """Replace the secrets to mask by those of another redactor, in running streams as well."""
        self.too_short, self._sought = other.too_short, other._sought

    @property
    def longest(self) -> int:
        """The most characters that one occurrence can have in a text, line breaks included."""
        return self._sought.longest

    def redact(self, text: str) -> str:
        """Return `text` with every occurrence of a secret replaced by its mask."""
        return finished(self.redacting(text))

    def redacting(self, text: str, start: int = 0, stop: int | None = None, *, parts: bool = True) -> Steps[str]:
        """Return, in steps, the masked `text` from `start` to `stop`; occurrences cut by either are masked as well.

        Without `parts`, the single lines of multi-line values are not masked.
        """
        occurrences = yield from self._occurrences(text, parts=parts)
        return _masked_within(text, start, len(text) if stop is None else stop, occurrences)

    def containing(self, text: str) -> Steps[str | None]:
        """Return, in steps, the name of the first secret that occurs in `text` in any form, or None.

        A single line of a multi-line secret does not count: lines such as `apiVersion: v1` are in many files.
        """
        occurrences = yield from self._occurrences(text, parts=False)
        return next((found.name for found in occurrences), None)

    def stream(self) -> "RedactionStream":
        """Return a redactor for one text that comes in pieces."""
        return RedactionStream(self)

    def _occurrences(self, text: str, *, parts: bool) -> Steps[list[Occurrence]]:
        scanners = self._sought.scanners(parts=parts)
        for piece, is_last in pieces(text):
            for scanner in scanners:
                scanner.feed(piece, is_last=is_last)
            yield
        return sorted(found for scanner in scanners for found in scanner.found)


class RedactionStream:
    """A redactor of one text in pieces: its results, joined, equal `Redactor.redact` of the whole text.

    If the text is cut off, do not call `finish`: the piece held back may begin a secret.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self._covered = 0  # characters of `_held` that belong to a mask already returned
        self._begin()

    @property
    def held(self) -> int:
        """The number of characters received and not returned yet: less than `Redactor.longest`."""
        return len(self._held)

    def feed(self, text: str) -> str:
        """Process the next piece; return the masked text so far, without an end that may be the start of a secret."""
        return self._take(text, is_last=False)

    def feeding(self, text: str) -> Steps[str]:
        """Do what `feed` does, in steps."""
        shown = []
        for piece, _ in pieces(text):
            shown.append(self.feed(piece))
            yield
        return "".join(shown)

    def finish(self) -> str:
        """End the text, and return the rest, masked."""
        return self._take("", is_last=True)

    def _begin(self) -> None:
        """Search for the redactor's present secrets, from the held text on."""
        self._sought = self._redactor._sought
        self._scanners = self._sought.scanners(parts=True)
        self._start = 0  # index of the held text in the scanners' count
        self._found: list[Occurrence] = []
        self._scan(self._held, is_last=False)

    def _take(self, text: str, *, is_last: bool) -> str:
        if self._sought is not self._redactor._sought:
            self._begin()
        self._held += text
        self._scan(text, is_last=is_last)
        undecided = min(scanner.undecided for scanner in self._scanners) - self._start
        return self._show(len(self._held) if is_last else undecided)

    def _scan(self, text: str, *, is_last: bool) -> None:
        for scanner in self._scanners:
            scanner.feed(text, is_last=is_last)
            self._found += scanner.found
            scanner.found.clear()

    def _show(self, stop: int) -> str:
        """Return the held text up to `stop`, masked, and release it.

        Occurrences that begin before `_covered` belong to a mask already returned.
        """
        shown: list[str] = []
        self._found.sort()
        ready = bisect_left(self._found, self._start + stop, key=attrgetter("start"))
        for found in self._found[:ready]:
            start, end = found.start - self._start, found.end - self._start
            if start >= self._covered:
                shown += self._held[self._covered : start], f"[secret {found.name}]"
            self._covered = max(self._covered, end)
        del self._found[:ready]
        shown.append(self._held[self._covered : stop])
        self._held = self._held[stop:]
        self._start += stop
        self._covered = max(self._covered - stop, 0)
        return "".join(shown)


def _masked_within(text: str, start: int, stop: int, occurrences: Iterable[Occurrence]) -> str:
    """Return `text` from `start` to `stop` with masks for `occurrences`, which are sorted."""
    shown: list[str] = []
    covered = start
    for found in occurrences:
        if found.start >= stop:
            break
        if found.end <= covered:
            continue
        if found.start >= covered or not shown:
            shown += text[covered : max(found.start, covered)], f"[secret {found.name}]"
        covered = found.end
    return "".join((*shown, text[covered:stop]))


def too_short(secrets: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the secrets that are not masked, because their values are shorter than `MIN_MASKED`."""
    return tuple(name for name, value in secrets.items() if _is_short(value))


def _sought(named: Iterable[tuple[str, str]]) -> _Sought:
    """Return the forms to search for, of texts given with their names."""
    whole: dict[str, str] = {}
    encodings: dict[str, str] = {}
    lines: dict[str, str] = {}
    most_breaks, size = _MIN_BREAKS, 0
    for name, text in named:
        most_breaks = max(most_breaks, _breaks_in(text))
        size = max(size, len(text.encode(errors="surrogatepass")))
        whole.setdefault(unbroken(text), name)
        for form in encoded(text):
            encodings.setdefault(form, name)
        new = {line: name for line in _lines(text) if line not in whole and line not in lines}
        if len(lines) + len(new) <= MAX_LINES:
            lines |= new
    words = Automaton(whole)
    longest = min(size * _MOST_TAKEN * (1 + most_breaks), MAX_TAKEN)
    return _Sought(words, Automaton({**lines, **whole}) if lines else words, Automaton(encodings), most_breaks, longest)


def _masked(named: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the texts that are long enough, as they are, stripped, and with blanks as `echo $NAME` prints them."""
    texts = dict.fromkeys((name, form) for name, text in named for form in (text, text.strip(), " ".join(text.split())))
    return ((name, text) for name, text in texts if not _is_short(text))


def _lines(text: str) -> Iterator[str]:
    return (line for each in re.split(r"[\r\n]+", text) if not _is_short(line := each.strip()))


def _is_short(text: str) -> bool:
    return len(unbroken(text)) < MIN_MASKED


def _breaks_in(value: str) -> int:
    """Return twice the longest run of line breaks in `value`, in characters: a terminal writes CRLF for each."""
    return 2 * max(map(len, re.findall(r"[\r\n]+", value.strip("\r\n"))), default=0)
