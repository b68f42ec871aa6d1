"""Output of one command: shown as it comes, masked, and cut in the middle when it grows too long."""

import codecs
import time
from collections import deque
from collections.abc import Callable, Sequence

import anyio
import anyio.lowlevel

from server.concurrency import in_grace
from server.tasks.secrets.masking import Masker, joined, own_words, part
from server.threads import carried_through, stepped
from storage.records.masked import MaskedText
from templates.steps import Steps

FIRST_BYTES = 1024
"""Bytes masked at a time at first: about 0.05 s of text made to be slow to mask."""

MOST_BYTES = 4096
"""Bytes masked at a time after quick ones."""

QUICK = 0.005
"""Seconds below which a step counts as quick; the text of web pages does."""

GRACE_SECONDS = 1.0
"""Seconds for masking the end of an output after cancellation; megabytes made to be slow would take minutes."""

LEAST_OUTPUT = 4096
"""Characters kept of any output, even if the task's budget is used up."""


class OutputBudget:
    """The characters of output that a task may still keep."""

    def __init__(self, left: int) -> None:
        self._left = left

    @property
    def is_used_up(self) -> bool:
        """Whether the budget is used up."""
        return self._left <= 0

    def limit(self, most: int) -> int:
        """Return how many characters the next output may keep, `most` at the most."""
        return max(LEAST_OUTPUT, min(most, self._left))

    def take(self, text: str) -> None:
        """Count a text that was kept."""
        self._left -= len(text)


class CommandOutput:
    """One output: keeps the first and last half of `limit` characters; counts and drops the middle."""

    def __init__(self, masker: Masker, limit: int) -> None:
        self._masker = masker
        self._stream = masker.stream()
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._half = limit // 2
        self._head_left = self._half
        self._end: deque[str] = deque()
        self._end_length = 0
        self._taken = 0
        self._at_once = FIRST_BYTES
        self._shown: list[MaskedText] = []
        self.dropped = 0
        """Characters that were dropped; known once the output has ended."""

    @property
    def text(self) -> MaskedText:
        """Everything shown so far."""
        return joined(self._shown)

    def feed(self, data: bytes) -> MaskedText:
        """Add bytes of output. Returns the masked text that can be shown now."""
        text = self._decode(data)
        self._keep(text)
        head = text[: self._head_left]
        self._head_left -= len(head)
        return self._show(self._stream.feed(head))

    async def show(self, data: bytes, publish: Callable[[MaskedText], None]) -> None:
        """Add bytes of output, and publish what can be shown now."""
        done = 0
        while done < len(data):
            begun, size = time.monotonic(), self._at_once
            publish(await carried_through(self.feed, data[done : done + size]))
            done += size
            self._at_once = min(2 * size, MOST_BYTES) if time.monotonic() - begun < QUICK else FIRST_BYTES
            await anyio.lowlevel.cancel_shielded_checkpoint()  # let others run in between

    async def finish(self) -> MaskedText:
        """End the output. Returns what is left to show.

        On cancellation, what is not masked within GRACE_SECONDS is dropped, and `text` says so.
        """
        self._keep(self._decode(b"", True))
        rest: list[MaskedText] = []

        async def mask() -> None:
            rest.append(await self._rest())

        try:
            await in_grace(mask, GRACE_SECONDS)
        except anyio.get_cancelled_exc_class():
            self._end_with(rest)
            raise
        return self._end_with(rest)

    async def take(self, text: str) -> None:
        """Add a whole output, and end it."""
        await self.show(text.encode(errors="replace"), _nobody)
        await self.finish()

    async def _rest(self) -> MaskedText:
        """Return what is left to show, masked: all of it, or the last half."""
        end = "".join(self._end)
        if self._taken <= 2 * self._half:
            return await stepped(len(end), self._unshown(end))
        # What the stream still holds back is dropped: it is the start of the omitted middle, and perhaps of a secret.
        tail = await self._masker.text(end, len(end) - self._half)
        return part(tail, -self._half)

    def _unshown(self, end: str) -> Steps[MaskedText]:
        rest = self._taken - self._half + self._head_left
        shown = yield from self._stream.feeding(end[len(end) - rest :])
        return joined([shown, self._stream.finish()])

    def _end_with(self, rest: Sequence[MaskedText]) -> MaskedText:
        """Show what is left and how much was dropped; `rest` is empty if masking took too long."""
        if rest and self._taken <= 2 * self._half:
            return self._show(rest[0])
        tail = joined(rest)
        self.dropped = self._taken - len(self.text) - len(tail)
        if not self.dropped:
            return self._show(tail)
        note = own_words(f"\n[… {self.dropped:d} characters of output were not kept …]\n")
        return self._show(joined([note, tail]))

    def _keep(self, text: str) -> None:
        """Keep the end of the output, with a margin for a secret that begins before the last half."""
        if not text:
            return
        self._taken += len(text)
        enough = self._half + self._masker.longest
        self._end.append(text[-enough:])
        self._end_length += len(self._end[-1])
        while self._end_length - len(self._end[0]) >= enough:
            self._end_length -= len(self._end.popleft())

    def _show(self, text: MaskedText) -> MaskedText:
        if text:
            self._shown.append(text)
        return text


def _nobody(_text: MaskedText) -> None:
    """Publish nothing, because the text is shown once it is whole."""
