"""An Aho-Corasick automaton (1975), which finds many words at once in time linear in the text."""

from array import array
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import NamedTuple

HEAD = 12
"""Characters of a word's head, by which a search for its beginning starts."""

_NONE = 2**32 - 1
_MANY = 8  # suffix links followed in one step before caching its result is worth it
_MOST_STEPS = 2**15  # cached steps


class Ending(NamedTuple):
    """A match: the index after a word's last character, the word's length in characters, and its name."""

    end: int
    length: int
    name: str


class Automaton:
    """An automaton that reads texts character by character and finds words (`names`: word -> name of the word).

    A state is a number that stands for a prefix of a word: the longest one that is a suffix of the text read so far; 0
    is the empty prefix. Needs about 20 bytes for each character of the words. Suffix links are made level by level,
    when a text first gets so deep into a word. Several threads may read texts at the same time.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.depths = array("I", [0])
        """The length of each state's prefix, in characters."""
        self.alphabet = frozenset().union(*names)
        """The characters of all words."""
        self.heads = frozenset(word[:HEAD] for word in names)
        """The first HEAD characters of each word."""

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
        links = 0  # followed in this step
        first = state
        while (following := self._child(state, character)) is None:
            state = self.suffix(state)
            links += 1
            if links >= _MANY and (following := self._steps.get((state, character))) is not None:
                break
        if links >= _MANY:  # a text that is read in several ways may take this step again and again
            if len(self._steps) >= _MOST_STEPS:
                self._steps.clear()
            self._steps[first, character] = following
        return following

    def _child(self, state: int, character: str) -> int | None:
        """Return the state of the prefix of `state` with one more character; None if no word has this prefix."""
        following = state + 1
        if self._labels[following] == character and self._parents[following] == state:
            return following
        return self._branches.get(state, {}).get(character, None if state else 0)

    def read(self, text: str, begin: int, until: int, end: int, state: int, found: list[Ending]) -> tuple[int, int]:
        """Return the state after `text[begin:end]`, and the index up to which the text was read.

        Reading stops before `end` in state 0 at an index of `until` or more. The longest word that ends at each index
        is added to `found`.
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
        """Return the state of the longest word that is a suffix of the prefix of `state`; 0 if there is none."""
        if state in self._names:
            return state
        self._link(self.depths[state])
        return self._ended[state]

    def name(self, state: int) -> str:
        """Return the name of the word that `state` stands for. Raises KeyError if it is no whole word."""
        return self._names[state]

    def unfinished(self, state: int) -> int:
        """Return `state`, or the longest of its suffixes, that is a proper prefix of a word; 0 if there is none."""
        while state and next(self._children(state), None) is None:
            state = self.suffix(state)
        return state

    def suffix(self, state: int) -> int:
        """Return the suffix link of `state`: its longest proper suffix that is a prefix of a word."""
        self._link(self.depths[state])
        return self._suffixes[state]

    def _add(self, names: Mapping[str, str]) -> str:
        """Make the states of all words, consecutive ones for each word; return the last character of each state."""
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
        """Make the suffix links of all states of at most `depth` characters."""
        while self._linked < depth:
            with self._linking:
                if self._linked < depth:
                    self._link_level()

    def _link_level(self) -> None:
        """Make the suffix links of the next level of states."""
        children = [(state, *child) for state in self._level for child in self._children(state)]
        for state, character, child in children:
            suffix = self._suffixes[child] = self.step(self._suffixes[state], character) if state else 0
            self._ended[child] = suffix if suffix in self._names else self._ended[suffix]
        self._level = [child for _, _, child in children]
        self._linked += 1  # last, as other threads use the links from here on


def _shared(left: str, right: str) -> int:
    """Return the length of the common prefix."""
    return next(
        (index for index, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right))
    )
