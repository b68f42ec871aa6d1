"""The output of one command: shown as it comes, masked, with both ends kept when it grows too long."""

import codecs
import time
from collections import deque
from collections.abc import Callable, Sequence

import anyio
import anyio.lowlevel

from server.concurrency import in_grace
from server.threads import carried_through, stepped
from templates.redaction import Redactor
from templates.steps import Steps

FIRST_BYTES = 1024
"""Bytes of output that are masked before others have their turn: some 0.05 s of text made to be hard to mask."""

MOST_BYTES = 4096
"""The same where that has been quick."""

QUICK = 0.005
"""Seconds, in which even the text of web pages is masked."""

GRACE_SECONDS = 1.0
"""For the end of an output to be masked once its task is cancelled: made to be hard, megabytes take minutes."""

LEAST_OUTPUT = 4096
"""Characters that are kept of any output, also where the task has used up what it may keep."""


class OutputBudget:
    """Characters of output that a task may still keep."""

    def __init__(self, left: int) -> None:
        self._left = left

    @property
    def is_used_up(self) -> bool:
        """Whether nothing more need be kept."""
        return self._left <= 0

    def limit(self, most: int) -> int:
        """How much the next output may keep, `most` at the most."""
        return max(LEAST_OUTPUT, min(most, self._left))

    def take(self, text: str) -> None:
        """So much is kept."""
        self._left -= len(text)


class CommandOutput:
    """Keeps the first and the last half of `limit` characters; what lies between is counted and dropped."""

    def __init__(self, redactor: Redactor, limit: int) -> None:
        self._redactor = redactor
        self._stream = redactor.stream()
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._half = limit // 2
        self._head_left = self._half
        self._end: deque[str] = deque()
        self._end_length = 0
        self._taken = 0
        self._at_once = FIRST_BYTES
        self._shown: list[str] = []
        self.dropped = 0
        """Characters that were not kept; known when the output has ended."""

    @property
    def text(self) -> str:
        """Everything that was shown."""
        return "".join(self._shown)

    def feed(self, data: bytes) -> str:
        """Take what the command has written; returns what of it can be shown now."""
        text = self._decode(data)
        self._keep(text)
        head = text[: self._head_left]
        self._head_left -= len(head)
        return self._show(self._stream.feed(head))

    async def show(self, data: bytes, publish: Callable[[str], None]) -> None:
        """Take what the command has written, and publish what of it can be shown now."""
        done = 0
        while done < len(data):
            begun, size = time.monotonic(), self._at_once
            publish(await carried_through(self.feed, data[done : done + size]))
            done += size
            self._at_once = min(2 * size, MOST_BYTES) if time.monotonic() - begun < QUICK else FIRST_BYTES
            await anyio.lowlevel.cancel_shielded_checkpoint()  # others have their turn between

    async def finish(self) -> str:
        """Returns what is left to show. The output ends here.

        Where it is cancelled, what is not masked soon is not kept, which `text` then says.
        """
        self._keep(self._decode(b"", True))
        rest: list[str] = []

        async def mask() -> None:
            rest.append(await self._rest())

        try:
            await in_grace(mask, GRACE_SECONDS)
        except anyio.get_cancelled_exc_class():
            self._end_with(rest)
            raise
        return self._end_with(rest)

    async def take(self, text: str) -> None:
        """Take all of an output, which ends here."""
        await self.show(text.encode(errors="replace"), _nobody)
        await self.finish()

    async def _rest(self) -> str:
        """What is left, masked: all of it, or the last half."""
        end = "".join(self._end)
        if self._taken <= 2 * self._half:
            return await stepped(len(end), self._unshown(end))
        # What the stream still holds back is left out: it begins what nobody sees, and maybe a secret.
        tail = await stepped(len(end), self._redactor.redacting(end, len(end) - self._half))
        return tail[-self._half :]

    def _unshown(self, end: str) -> Steps[str]:
        rest = self._taken - self._half + self._head_left
        shown = yield from self._stream.feeding(end[len(end) - rest :])
        return shown + self._stream.finish()

    def _end_with(self, rest: Sequence[str]) -> str:
        """Show what is left, and how much of the output is not kept; `rest` is empty where masking took too long."""
        if rest and self._taken <= 2 * self._half:
            return self._show(rest[0])
        tail = "".join(rest)
        self.dropped = self._taken - len(self.text) - len(tail)
        note = f"\n[… {self.dropped} characters of output were not kept …]\n" if self.dropped else ""
        return self._show(f"{note}{tail}")

    def _keep(self, text: str) -> None:
        """Remember the end of all, with a margin before the last half for a secret cut in two."""
        if not text:
            return
        self._taken += len(text)
        enough = self._half + self._redactor.longest
        self._end.append(text[-enough:])
        self._end_length += len(self._end[-1])
        while self._end_length - len(self._end[0]) >= enough:
            self._end_length -= len(self._end.popleft())

    def _show(self, text: str) -> str:
        if text:
            self._shown.append(text)
        return text


def _nobody(_text: str) -> None:
    """Publish nothing: the text is shown once it is whole."""
