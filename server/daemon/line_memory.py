"""The memory limit for lines of all connections, while they are received and parsed."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

MOST = 128 * 1024**2
"""Bytes of all these lines: four of the longest."""


class LineMemory:
    """The memory of all connections' lines.

    If it is full, the unfinished line that has waited longest for its next bytes is dropped: a peer that sends without
    pausing never loses its line while others pause.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._sizes: dict[LineShare, int] = {}
        self._halves: dict[LineShare, None] = {}  # the one that has waited longest for more first
        self._changed = anyio.Event()

    @contextmanager
    def share(self) -> Iterator["LineShare"]:
        """Return the share of one line, released at the end of the block."""
        share = LineShare(self)
        try:
            yield share
        finally:
            self.forget(share)

    async def grow(self, share: "LineShare", size: int) -> None:
        """Let an unfinished line take `size` bytes: drops others for it, or waits for complete ones."""
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
        """Mark a line as complete, so that it is no longer dropped."""
        self._halves.pop(share, None)

    def forget(self, share: "LineShare") -> None:
        """Release a line's memory."""
        self._halves.pop(share, None)
        self._sizes.pop(share, None)
        self._changed.set()
        self._changed = anyio.Event()


class LineShare:
    """One line's share of the memory."""

    def __init__(self, line_memory: LineMemory) -> None:
        self._line_memory = line_memory
        self._scope = anyio.CancelScope()
        self.is_given_up = False

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Receive the line within the block, which is left at once if the line is dropped."""
        with self._scope:
            yield
            self._line_memory.complete(self)

    async def grow(self, size: int) -> None:
        """Let the line take `size` bytes."""
        await self._line_memory.grow(self, size)

    def give_up(self) -> None:
        """Drop the line."""
        self.is_given_up = True
        self._scope.cancel()
