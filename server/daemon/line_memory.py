"""The memory in which the lines of all connections are gathered until they are whole and understood."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

MOST = 128 * 1024**2
"""Bytes of all these lines: four of the longest."""


class LineMemory:
    """Counts the lines of all connections.

    Where there is no room for more, the half line is given up that has waited longest for its next bytes: whoever
    sends a line without a pause is never that one, as long as others stand still.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._sizes: dict[LineShare, int] = {}
        self._halves: dict[LineShare, None] = {}  # the one that has waited longest for more first
        self._changed = anyio.Event()

    @contextmanager
    def share(self) -> Iterator["LineShare"]:
        """The share of one line, which it has as long as the block lasts."""
        share = LineShare(self)
        try:
            yield share
        finally:
            self.forget(share)

    async def grow(self, share: "LineShare", size: int) -> None:
        """Let a half line have `size` bytes: others are given up for it, or whole ones waited for."""
        self._sizes[share] = size
        self._halves.pop(share, None)
        self._halves[share] = None
        while sum(self._sizes.values()) > self._most and not share.is_given_up:
            longest = next(iter(self._halves))
            if longest is share:
                await self._changed.wait()  # until whole lines of others are understood
            else:
                self.forget(longest)
                longest.give_up()

    def complete(self, share: "LineShare") -> None:
        """Note that a line is whole: it is given up no more."""
        self._halves.pop(share, None)

    def forget(self, share: "LineShare") -> None:
        """Count a line no more."""
        self._halves.pop(share, None)
        self._sizes.pop(share, None)
        self._changed.set()
        self._changed = anyio.Event()


class LineShare:
    """What one line has of that memory."""

    def __init__(self, line_memory: LineMemory) -> None:
        self._line_memory = line_memory
        self._scope = anyio.CancelScope()
        self.is_given_up = False

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Gather the line in the block, which is left at once where the line is given up."""
        with self._scope:
            yield
            self._line_memory.complete(self)

    async def grow(self, size: int) -> None:
        """Let the line have `size` bytes."""
        await self._line_memory.grow(self, size)

    def give_up(self) -> None:
        """Give the line up."""
        self.is_given_up = True
        self._scope.cancel()
