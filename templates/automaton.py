"""Finding many words at once, in time that grows with the text alone (Aho and Corasick, 1975)."""

from array import array
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import NamedTuple

HEAD = 12
"""Characters of the beginning of a word."""

_NONE = 2**32 - 1
_MANY = 8  # ends of a state that are looked at before it pays to remember what came of it
_MOST_STEPS = 2**15


class Ending(NamedTuple):
    """A word that ends in a text: the index after its last character, its length in characters and its name."""

    end: int
    length: int
    name: str


class Automaton:
    """Reads texts for words (`names`: word -> name of the word), one character after the other.

    A state is a number that stands for the longest end of what was read that begins a word; 0 stands for none.
    Takes about 20 bytes for each character of the words. The links from a state to the next shorter end are made level
    by level, when a text first gets so far into a word. Texts may be read in several threads at once.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.depths = array("I", [0])
        """The length of the beginning that each state stands for, in characters."""
        self.alphabet = frozenset().union(*names)
        """The characters of all words."""
        self.heads = frozenset(word[:HEAD] for word in names)
        """How the words begin."""

        self._parents = array("I", [0])
        self._branches: dict[int, dict[str, int]] = {0: {}}
        self._names: dict[int, str] = {}
        self._labels = self._add(names)
        self._suffixes = array("I", bytes(4 * len(self.depths)))
        self._ended = array("I", bytes(4 * len(self.depths)))
        self._steps: dict[tuple[int, str], int] = {}
        self._level, self._linked = [0], 0
        self._linking = Lock()
        self._shortest = min(map(len, names), default=0)

    def step(self, state: int, character: str) -> int:
        """Return the state after one more character."""
        ends = 0  # that were looked at
        first = state
        while (following := self._child(state, character)) is None:
            state = self.suffix(state)
            ends += 1
            if ends >= _MANY and (following := self._steps.get((state, character))) is not None:
                break
        if ends >= _MANY:  # a text that is read in several ways may ask for it, or for one after it, again and again
            if len(self._steps) >= _MOST_STEPS:
                self._steps.clear()
            self._steps[first, character] = following
        return following

    def _child(self, state: int, character: str) -> int | None:
        """Return the state of the beginning of `state` and one more character; None where no word has it."""
        following = state + 1
        if self._labels[following] == character and self._parents[following] == state:
            return following
        return self._branches.get(state, {}).get(character, None if state else 0)

    def read(self, text: str, begin: int, until: int, end: int, state: int, found: list[Ending]) -> tuple[int, int]:
        """Return the state after `text[begin:end]`, and the index up to which it was read.

        That is less than `end` where no word has begun at an index of `until` or more. The longest word that ends at
        each index is added to `found`.
        """
        first, labels, parents, depths = self._branches[0], self._labels, self._parents, self.depths
        shortest = self._shortest
        for index in range(begin, end):
            if not state:
                if index >= until:
                    return 0, index
                state = first.get(text[index], 0)
                continue
            character, following = text[index], state + 1
            if labels[following] == character and parents[following] == state:
                state = following
            else:
                state = self.step(state, character)
            if depths[state] >= shortest and (ended := self.ended(state)):
                found.append(Ending(index + 1, depths[ended], self._names[ended]))
        return state, end

    def ended(self, state: int) -> int:
        """Return the state of the longest word that ends in `state`, 0 if none does."""
        if state in self._names:
            return state
        self._link(self.depths[state])
        return self._ended[state]

    def name(self, state: int) -> str:
        """Return the name of the word that `state` stands for."""
        return self._names[state]

    def unfinished(self, state: int) -> int:
        """Return the longest end of `state` that begins a word and is not the whole of every such word."""
        while state and next(self._children(state), None) is None:
            state = self.suffix(state)
        return state

    def suffix(self, state: int) -> int:
        """Return the next shorter end of `state` that begins a word."""
        self._link(self.depths[state])
        return self._suffixes[state]

    def _add(self, names: Mapping[str, str]) -> str:
        """Make the states of all words, those of one word in a row; return the last character of each, and one more."""
        labels, path, previous = ["\0"], [0], ""
        for word in sorted(names):
            shared, first = _shared(previous, word), len(self.depths)
            parent, rest = path[shared], len(word) - shared
            if not parent or parent + 1 != first:
                self._branches.setdefault(parent, {})[word[shared]] = first
            path[shared + 1 :] = range(first, first + rest)
            labels.append(word[shared:])
            self._parents.extend((parent, *range(first, first + rest - 1)))
            self.depths.extend(range(shared + 1, len(word) + 1))
            self._names[path[-1]], previous = names[word], word
        self._parents.append(_NONE)
        return "".join((*labels, "\0"))

    def _children(self, state: int) -> Iterator[tuple[str, int]]:
        if state and self._parents[state + 1] == state:
            yield self._labels[state + 1], state + 1
        yield from self._branches.get(state, {}).items()

    def _link(self, depth: int) -> None:
        """Make the links of all states of at most `depth` characters."""
        while self._linked < depth:
            with self._linking:
                if self._linked < depth:
                    self._link_level()

    def _link_level(self) -> None:
        """Make the links of the first states that have none."""
        children = [(state, *child) for state in self._level for child in self._children(state)]
        for state, character, child in children:
            suffix = self._suffixes[child] = self.step(self._suffixes[state], character) if state else 0
            self._ended[child] = suffix if suffix in self._names else self._ended[suffix]
        self._level = [child for _, _, child in children]
        self._linked += 1  # last: from here on, others use them


def _shared(left: str, right: str) -> int:
    """Return the length of the longest beginning that both have."""
    return next(
        (index for index, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right))
    )
