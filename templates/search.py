"""Search for words in a text that comes in pieces, even if broken or escaped, in time linear in the text."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from templates.automaton import HEAD, Automaton, Ending
from templates.escapes import EscapeReading, in_mails, introduction, readings
from templates.positions import Origins, Unbroken, without_color_begun

MOST_WAYS = 4
"""Alternative readings of a text that are followed at the same time, besides the literal one. Only specially crafted
secrets have more; then those with the shortest partial matches are dropped."""

# What may precede lines of base64 and hexadecimal digits: indentation, quotation marks, one sign of a diff.
_MARKS = re.compile(r"[^0-9A-Za-z+/=_-]{0,32}")
_SIGN = re.compile(r"[+-]")
_MARK = re.compile(r"[^0-9A-Za-z/=_]|\Z")
_MARKED_LINE = re.compile(r"[\r\n](?:[^0-9A-Za-z/=_\r\n]|\Z)")


_MOST_HEADS = 100  # searched for one by one; with more, reading every character is faster


class Occurrence(NamedTuple):
    """An occurrence of a secret in a text. Sorts by start, then longest first."""

    start: int
    minus_end: int
    name: str

    @property
    def end(self) -> int:
        """The index after its last character."""
        return -self.minus_end


class _Way:
    """A reading of the text in which some escapes are decoded and some marks at the beginning of lines are skipped.

    `index` counts the characters of the reading. From number `places[i]` on, they are at `positions[i]` and after it in
    the text. The last such turn is stored separately, and a way shares the lists with the one it branched off from
    until it has to change them.
    """

    def __init__(self, state: int, index: int, before: "_Way | None" = None, end: int = 0, breaks: int = 0) -> None:
        self.state = state
        self.index = index
        self.turn = index if before else 0
        """The number of characters before the last escape or mark."""

        self.breaks = breaks
        """The line breaks and marks skipped in a row up to here."""

        self._end = end
        self._places = before.places if before else []
        self._positions = before.positions if before else []
        self._size = len(self._places)
        self._is_kept = before is None

    @property
    def places(self) -> list[int]:
        """The places of all turns, for a way that branches off from this one."""
        self._keep()
        return self._places

    @property
    def positions(self) -> list[int]:
        """The positions of all turns, for a way that branches off from this one."""
        self._keep()
        return self._positions

    def position(self, index: int) -> int:
        """Return the position, in the text without line breaks, of the reading's character number `index`."""
        if not self._is_kept and index >= self.turn:
            return self._end + index - self.turn
        place = bisect_right(self._places, index, 0, self._size)
        return self._positions[place - 1] + index - self._places[place - 1] if place else index

    def forget(self, index: int) -> None:
        """Discard the turns before number `index`, if these are the majority."""
        place = bisect_right(self._places, index, 0, self._size) - 1
        if place > self._size // 2 + 8:
            self._places, self._positions = self._places[place : self._size], self._positions[place : self._size]
            self._size -= place

    def _keep(self) -> None:
        """Append the last turn to the lists."""
        if self._size != len(self._places):
            self._places, self._positions = self._places[: self._size], self._positions[: self._size]
        if not self._is_kept:
            self._places.append(self.turn)
            self._positions.append(self._end)
            self._size += 1
            self._is_kept = True


class Scanner:
    """A scanner of one text, in pieces, for the words of an automaton, even if they are broken or escaped.

    Up to `most_breaks` characters of line breaks in a row are skipped anywhere; with `marked`, also the marks that
    quotations and diffs put after them. Occurrences of more than `longest` characters are ignored.
    """

    def __init__(self, automaton: Automaton, most_breaks: int, longest: int, *, marked: bool) -> None:
        self.found: list[Occurrence] = []
        """The occurrences found; to be cleared by the caller."""

        self.undecided = 0
        """The index from which on the text may still become part of an occurrence."""

        self._automaton = automaton
        self._most_breaks = most_breaks
        self._longest = longest
        self._marked = marked
        self._passes_quotes = not marked and all(head[0] != '"' for head in automaton.heads)
        self._skips_colors = "\x1b" not in automaton.alphabet
        self._introduction = introduction(automaton.alphabet)
        self._in_mails = None if marked else in_mails(automaton.alphabet)
        self._origins = Origins()
        self._tail = ""  # the end of the text that cannot be decoded before more is known
        self._length = 0
        self._index = 0  # of the tail's beginning in the text without line breaks
        self._starts: list[int] = []
        self._untils: list[int] = []
        self._literal = _Way(0, 0)
        self._others: list[_Way] = []
        self._waiting: dict[int, list[_Way]] = {}  # ways that continue after an escape, by the index of its end

    def feed(self, text: str, *, is_last: bool = False) -> None:
        """Process the next piece of the text, the last one if `is_last`."""
        self._length += len(text)
        if not self._automaton.alphabet:
            self.undecided = self._length
            return
        text = self._tail + text
        whole = len(text) if is_last else self._without_open_end(text)
        piece = Unbroken(text[:whole], self._most_breaks, colors=self._skips_colors)
        self._origins.add(piece, self._index, self._length - len(text))
        stop = self._read(piece, is_last)
        self._index += stop
        if stop == len(piece.text):
            self._tail = text[whole:]
            is_color = self._tail.startswith("\x1b")  # or else a word may begin in it
            self._decide(self._length - len(self._tail) if is_color else self._length)
        else:
            self._tail = text[piece.origin(stop - 1) + 1 if stop else 0 :]
            is_escape = self._escapes(piece.text, stop)[1]
            self._decide(self._length - len(text) + piece.origin(stop) if is_escape else self._length)

    def _without_open_end(self, text: str) -> int:
        """Return the length of `text` without line breaks or a color code at its end that may be incomplete."""
        length = len(text.rstrip("\r\n"))
        if length < len(text):
            return length if len(text) - length <= self._most_breaks else len(text)
        return without_color_begun(text) if self._skips_colors else length

    def _read(self, piece: Unbroken, is_last: bool) -> int:
        """Read a piece to its end, or to an escape or mark that may be incomplete; return that index."""
        text, index = piece.text, 0
        specials = self._specials(piece)
        self._starts, self._untils = self._beginnings(text, specials)
        for special in specials:
            self._advance_all(text, index, special)
            index = special
            if self._passes_quotes and self._is_idle and _is_quote(text, special):
                continue
            steps, is_open = self._steps(piece, special)
            if is_open and not is_last:
                return index
            self._turn_off(index, steps)
        self._advance_all(text, index, len(text))
        return len(text)

    @property
    def _is_idle(self) -> bool:
        """Whether no way has a partial match."""
        return not (self._literal.state or self._others or self._waiting)

    def _specials(self, piece: Unbroken) -> list[int]:
        """Return the indices at which escapes or marks may begin, sorted."""
        escapes = [found.start() for found in self._introduction.finditer(piece.text)]
        marks = [at for at in range(max(len(piece.text) - 2, 0), len(piece.text)) if piece.text[at] == "="]
        if self._marked and _MARKED_LINE.search(piece.original):
            marks += (place for place in piece.lines if _MARK.match(piece.text, place))
        if piece.has_soft:
            marks += (place - 1 for place in piece.lines if place and piece.text[place - 1] == "=")
        if self._in_mails and "=" in piece.text:
            marks += (found.start() for found in self._in_mails.finditer(piece.text))
        return sorted({*escapes, *marks}) if marks else escapes

    def _beginnings(self, text: str, specials: Iterable[int]) -> tuple[list[int], list[int]]:
        """Return the ranges in which words may begin, sorted: from `starts[i]` to before `untils[i]`.

        These are the literal heads of words, and the ranges where a head may be partly escaped or incomplete.
        """
        if len(self._automaton.heads) > _MOST_HEADS:
            return [0], [len(text)]
        literal = ((start, start + 1) for head in self._automaton.heads for start in _all(text, head))
        others = ((max(special - HEAD, 0), special + 1) for special in (*specials, len(text)))
        starts, untils = [0], [0]
        for start, until in sorted((*literal, *others)):
            if start > untils[-1]:
                starts.append(start)
                untils.append(until)
            else:
                untils[-1] = max(untils[-1], until)
        return starts, untils

    def _escapes(self, text: str, index: int) -> tuple[list[EscapeReading], bool]:
        return readings(text, index) if self._begins(text, index) else ([], False)

    def _begins(self, text: str, index: int) -> bool:
        """Return whether an escape may begin at `index`, by a quick test."""
        if text.startswith("=", index):
            return self._in_mails is not None and bool(index + 2 >= len(text) or self._in_mails.match(text, index))
        return self._introduction.match(text, index) is not None

    def _steps(self, piece: Unbroken, index: int) -> tuple[set[EscapeReading], bool]:
        """Return the possible readings of the text at `index`, and whether more text may change them.

        What is skipped has the reading "".
        """
        escapes, is_open = self._escapes(piece.text, index)
        ends = [index + length for length, characters in escapes if characters in ("\r", "\n")]
        if piece.text.startswith("=", index) and (index + 1 == len(piece.text) or _holds(piece.lines, index + 1)):
            ends.append(index + 1)
            is_open |= index + 1 == len(piece.text)
        if self._marked:
            starts = ends + [index] * _holds(piece.lines, index)
            ends += (end for start in starts for end in _marks(piece.text, start))
            is_open |= len(piece.text) in ends
        known = {escape for escape in escapes if self._automaton.alphabet.issuperset(escape.characters)}
        return known | {EscapeReading(end - index, "") for end in ends if end > index}, is_open

    def _advance_all(self, text: str, begin: int, end: int) -> None:
        """Read `text[begin:end]` in every way."""
        while self._waiting and (join := min(self._waiting) - self._index) <= end:
            self._advance_each(text, begin, join)
            self._others = self._foremost([*self._others, *self._waiting.pop(self._index + join)])
            begin = join
        self._advance_each(text, begin, end)

    def _advance_each(self, text: str, begin: int, end: int) -> None:
        if begin < end:
            self._advance_literal(text, begin, end)
            self._others = [way for way in self._others if self._goes_on(way, text, begin, end)]

    def _advance_literal(self, text: str, index: int, end: int) -> None:
        """Read literally, skipping ranges in which no word begins."""
        way = self._literal
        while index < end:
            place = bisect_right(self._starts, index) - 1
            until = self._untils[place]
            if not way.state and index >= until:
                start = min(self._starts[place + 1], end) if place + 1 < len(self._starts) else end
                way.index += start - index
                index = start
            else:
                index = self._advance(way, text, index, until, end)

    def _goes_on(self, way: _Way, text: str, begin: int, end: int) -> bool:
        """Read in a way while its partial match begins before its last turn; later matches are the literal way's."""
        while begin < end and way.index - self._depth(way) < way.turn:
            stop = min(end, begin + self._depth(way) + 1)
            begin = self._advance(way, text, begin, stop, stop)
        return way.index - self._depth(way) < way.turn

    def _advance(self, way: _Way, text: str, begin: int, until: int, end: int) -> int:
        found: list[Ending] = []
        way.state, end = self._automaton.read(text, begin, until, end, way.state, found)
        for ending in found:
            self._note(way, way.index + ending.end - begin, self._index + ending.end, ending.length, ending.name)
        way.index += end - begin
        way.breaks = 0
        return end

    def _turn_off(self, index: int, steps: Iterable[EscapeReading]) -> None:
        """Create a way for each of these readings of the text at `index`."""
        for way in (self._literal, *self._others):
            for length, characters in steps:
                self._turn(way, self._index + index + length, characters)

    def _turn(self, way: _Way, end: int, characters: str) -> None:
        state, index = way.state, way.index + len(characters)
        for character in characters:
            state = self._automaton.step(state, character)
        depth = self._automaton.depths[state]
        breaks = 0 if characters else way.breaks + 1
        if not depth or breaks > self._most_breaks:
            return
        waiting = self._waiting.setdefault(end, [])
        way.forget(way.index - self._depth(way))
        other = _Way(state, index, way, end, breaks)
        waiting.append(other)
        if characters and (ended := self._automaton.ended(state)):
            self._note(other, index, end, self._automaton.depths[ended], self._automaton.name(ended))

    def _foremost(self, ways: list[_Way]) -> list[_Way]:
        """Return the ways to follow: at most MOST_WAYS, without those whose partial match is a suffix of another's.

        Of ways with the same partial match, the one that began first is kept.
        """
        unique = {way.state: way for way in sorted(ways, key=self._start, reverse=True)}
        contained = set(self._shorter(self._literal.state))
        kept: list[_Way] = []
        for way in sorted(unique.values(), key=self._depth, reverse=True):
            if way.state not in contained:
                kept.append(way)
                contained.update(self._shorter(way.state))
        return kept[:MOST_WAYS]

    def _shorter(self, state: int) -> Iterator[int]:
        """Yield the next suffixes of `state`, a limited number, since a repetitive value has very many."""
        for _ in range(2 * MOST_WAYS):
            state = self._automaton.suffix(state)
            if not state:
                return
            yield state

    def _depth(self, way: _Way) -> int:
        return self._automaton.depths[way.state]

    def _start(self, way: _Way) -> int:
        """Return where a way's partial match begins in the text without line breaks."""
        return way.position(way.index - self._depth(way))

    def _note(self, way: _Way, index: int, end: int, length: int, name: str) -> None:
        """Record an occurrence of `length` characters before `index`, unless the literal way finds it as well."""
        first = index - length
        if way is not self._literal and first >= way.turn:
            return
        start, end = self._origins(way.position(first)), self._origins(end - 1) + 1
        if end - start <= self._longest:
            self.found.append(Occurrence(start, -end, name))

    def _decide(self, limit: int) -> None:
        """Update `undecided`, to `limit` at most, and discard the origins before it."""
        ways = [self._literal, *self._others, *(way for waiting in self._waiting.values() for way in waiting)]
        self.undecided = min([limit, *map(self._begun, ways)])
        self._origins.forget(min(map(self._start, ways)), self._index)

    def _begun(self, way: _Way) -> int:
        """Return where a way's longest incomplete match begins in the text."""
        automaton = self._automaton
        state = automaton.unfinished(way.state)
        while state:
            start = self._origins(way.position(way.index - automaton.depths[state]))
            if self._length - start < self._longest:
                return start
            state = way.state = automaton.unfinished(automaton.suffix(state))
        return self._length


def _is_quote(text: str, index: int) -> bool:
    """Return whether the text at `index` can only be a double quote, whatever follows."""
    return text.startswith('\\"', index) or (text.startswith('"', index) and index + 1 < len(text))


def _holds(places: Sequence[int], index: int) -> bool:
    place = bisect_left(places, index)
    return place < len(places) and places[place] == index


def _marks(text: str, start: int) -> Iterator[int]:
    """Yield the indices at which the marks at the beginning of a line may end."""
    end = _end(_MARKS, text, start)
    yield end
    if _SIGN.match(text, end):
        yield _end(_MARKS, text, end + 1)


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _all(text: str, sought: str) -> Iterator[int]:
    """Yield every index at which `sought` occurs in `text`."""
    index = text.find(sought)
    while index >= 0:
        yield index
        index = text.find(sought, index + 1)
