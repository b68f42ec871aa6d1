"""Masking the secrets of a task in every text that comes out of it.

Only what programs do to a value in passing is undone (see `forms`); a deliberate transformation is not.
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
"""Values of fewer characters, line breaks not counted, are not masked: they would be found everywhere."""

MAX_LINES = 500
"""Lines, of all values together, of which each is masked by itself. Each is looked for in all that comes out: with
thousands, output would take seconds; and more lines than those of some private keys and settings files are rare."""

_MIN_BREAKS = 4
"""Line breaks that may interrupt a form anywhere, in characters: an empty line, of either kind."""


MAX_TAKEN = 4 * 1024**2
"""Characters that an occurrence takes at most: 64 KiB, escaped and broken as much as they can be, take fewer."""

_MOST_TAKEN = 9  # characters for a byte of a value: `\\\\u0001` in JSON within JSON within JSON


class _Sought(NamedTuple):
    """All that is looked for; it never changes, so that a text can be read in a thread while more comes to be known."""

    whole: Automaton
    parts: Automaton
    """What `whole` has, and single lines."""

    encoded: Automaton
    most_breaks: int
    longest: int

    def scanners(self, *, parts: bool) -> tuple[Scanner, Scanner]:
        """Return what finds the values in a new text, also their `parts`, and what finds the encoded forms."""
        return (
            Scanner(self.parts if parts else self.whole, self.most_breaks, self.longest, marked=False),
            Scanner(self.encoded, self.most_breaks, self.longest, marked=True),
        )


class Redactor:
    """Replaces the values of `secrets` (name -> value), in all their forms, by `[secret NAME]`.

    So are the texts `derived` from secrets, given as (name, text), and all of these without the blanks at their ends:
    an unquoted variable loses them in a shell. The single lines of texts, which programs like diff put marks before,
    are masked as they are: text by text, in the order given, of each that does not make them more than `MAX_LINES`.

    Line breaks inside a form do not hide it, nor do escapes. Occurrences that overlap become one mask, named for the
    one that starts first, the longest of those; a form that two secrets share goes by the name that was given first.
    """

    def __init__(self, secrets: Mapping[str, str], derived: Iterable[tuple[str, str]] = ()) -> None:
        self.know(secrets, derived)

    def know(self, secrets: Mapping[str, str], derived: Iterable[tuple[str, str]] = ()) -> None:
        """Mask these from now on, instead of those before: also in streams that have begun."""
        self.too_short = too_short(secrets)
        """Names of the secrets that are not masked, because their values are shorter than `MIN_MASKED`."""
        self._sought = _sought(_masked([*secrets.items(), *derived]))

    def become(self, other: "Redactor") -> None:
        """Mask from now on what another masks, likewise."""
        self.too_short, self._sought = other.too_short, other._sought

    @property
    def longest(self) -> int:
        """Characters that one occurrence can take up in a text, with all the line breaks that are looked through."""
        return self._sought.longest

    def redact(self, text: str) -> str:
        """Return `text` with every occurrence of a secret replaced by its mask."""
        return finished(self.redacting(text))

    def redacting(self, text: str, start: int = 0, stop: int | None = None, *, parts: bool = True) -> Steps[str]:
        """Return, in steps, `text` from `start` to `stop`, masked, also what of an occurrence is left that is cut.

        Without `parts`, single lines of values of many stay.
        """
        occurrences = yield from self._occurrences(text, parts=parts)
        return _masked_within(text, start, len(text) if stop is None else stop, occurrences)

    def containing(self, text: str) -> Steps[str | None]:
        """Return, in steps, the name of the first secret that stands in `text` in any form, or None.

        One line of a secret of many does not count: `apiVersion: v1` stands in every file of its kind.
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
    """Redacts one text in pieces: what it returns, put together, is what `Redactor.redact` makes of the whole.

    Where the text goes on but nobody will see it, leave `finish` out: the piece held back may begin a secret.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self._covered = 0  # so much of what is held belongs to a mask that was shown
        self._begin()

    @property
    def held(self) -> int:
        """Characters taken in and not decided on yet: less than `Redactor.longest`."""
        return len(self._held)

    def feed(self, text: str) -> str:
        """Take the next piece and return what can be shown: all but an end that can still become a secret."""
        return self._take(text, is_last=False)

    def feeding(self, text: str) -> Steps[str]:
        """Do in steps what `feed` does."""
        shown = []
        for piece, _ in pieces(text):
            shown.append(self.feed(piece))
            yield
        return "".join(shown)

    def finish(self) -> str:
        """Return the rest, masked. The text ends here."""
        return self._take("", is_last=True)

    def _begin(self) -> None:
        """Look for what is known now, in what is held and what comes."""
        self._sought = self._redactor._sought
        self._scanners = self._sought.scanners(parts=True)
        self._start = 0  # of what is held, as the scanners count
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
        """Return what is held up to `stop`, masked; it is held no longer.

        What begins before `_covered` belongs to a mask that was shown already.
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
    """Return `text` from `start` to `stop` with masks for `occurrences`, which are in order."""
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
    """Return the names of those that are not masked, because their values are shorter than `MIN_MASKED`."""
    return tuple(name for name, value in secrets.items() if _is_short(value))


def _sought(named: Iterable[tuple[str, str]]) -> _Sought:
    """Return what to look for of texts, each given with its name."""
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
