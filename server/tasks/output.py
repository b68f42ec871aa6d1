"""The output of one command: shown as it comes, masked, with both ends kept when it grows too long."""

import codecs
from collections import deque

from templates.redaction import Redactor

LEAST_OUTPUT = 4096
"""Characters that are kept of any output, also where the task has used up what it may keep."""


class Allowance:
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


class Output:
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

    def finish(self) -> str:
        """Returns what is left to show. The output ends here."""
        self._keep(self._decode(b"", True))
        end = "".join(self._end)
        rest = self._taken - self._half + self._head_left
        if self._taken <= 2 * self._half:
            return self._show(self._stream.feed(end[len(end) - rest :]) + self._stream.finish())
        # What the stream still holds back is left out: it begins what nobody sees, and maybe a secret.
        tail = self._redactor.redact_within(end, len(end) - self._half, len(end))[-self._half :]
        self.dropped = self._taken - len(self.text) - len(tail)
        return self._show(f"\n[… {self.dropped} characters of output were not kept …]\n{tail}")

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
