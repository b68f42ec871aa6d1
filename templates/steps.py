"""Computations in steps, so that the caller can pause between two steps, or stop."""

from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""A generator that yields after every step, and returns the result."""

FIRST_PIECE = 1024
"""Characters processed in the first step: 0.05 s for text crafted to be slow to mask."""

LONGEST_PIECE = 16 * 1024
"""Most characters processed in one step: 0.8 s for crafted text. Shorter pieces would slow down all other text."""


def finished(steps: Steps[T]) -> T:
    """Run all steps, and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of a text for single steps, each with whether it is the last; at least one."""
    start, size = 0, FIRST_PIECE
    while start + size < len(text):
        yield text[start : start + size], False
        start, size = start + size, min(2 * size, LONGEST_PIECE)
    yield text[start:], True
