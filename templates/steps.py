"""Computations in steps, so that whoever has them done can pause between two of them, or leave the rest undone."""

from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""A computation that yields after every step, and returns its result."""

FIRST_PIECE = 1024
"""Characters that are read in the first step: 0.05 s where they were made to be hard to mask."""

LONGEST_PIECE = 16 * 1024
"""Characters that are read in a step at most, 0.8 s where they are hard; shorter pieces would slow all others down."""


def finished(steps: Steps[T]) -> T:
    """Take all steps, and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of a text that are read step by step, each with whether it is the last; one at least."""
    start, size = 0, FIRST_PIECE
    while start + size < len(text):
        yield text[start : start + size], False
        start, size = start + size, min(2 * size, LONGEST_PIECE)
    yield text[start:], True
