"""Output to a terminal: text from tasks is shown, never interpreted as control sequences."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Literal, TextIO

from server.characters import is_hidden, misleads, rewritten, written_out

Style = Literal["bold", "dim", "red", "green", "yellow"]

_CODES: dict[Style, int] = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33}

# Control characters but newline and tab, and the characters that reorder what stands around them.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


class Screen:
    """A stream for people: colours where it supports them, and no control characters if it is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._coloured = self.is_terminal and not plain
        self._line_is_open = False

    def paint(self, text: str, style: Style) -> str:
        """Return the text in a style, if this stream shows colours."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._coloured else text

    def print(self, line: str = "") -> None:
        """Write a line of our own; text that it quotes must be harmless already."""
        self._write(f"{line}\n")

    def pass_on(self, text: str) -> None:
        """Write a task's text: unchanged to a file or pipe, harmless to a terminal."""
        self._write(harmless(text) if self.is_terminal else text)

    def end_line(self) -> None:
        """Start a new line on the terminal, if one is unfinished."""
        if self.is_terminal and self._line_is_open:
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            self._line_is_open = not text.endswith("\n")
            self._stream.write(text)
            self._stream.flush()


def width() -> int:
    """Return the columns of the terminal, 80 if unknown."""
    return shutil.get_terminal_size().columns


def harmless(text: str) -> str:
    """Return the text with every control character escaped, except newline and tab."""
    return _OBEYED.sub(lambda found: written_out(found[0]), text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return the text, harmless, on one line."""
    return harmless(" ".join(text.split()))


def framed(text: str) -> Iterator[str]:
    """Yield the lines of a block of text that cannot pose as our own output.

    Every line begins with a margin, and so does each continuation of a long one.
    """
    for line in text.split("\n"):
        yield from (f"  {piece}" for piece in pieces(line, 2))


def decided(line: str, taken: int) -> Iterator[str]:
    """Yield the same for one line that a person decides about, with misleading characters escaped too.

    `taken` columns are left for a mark that the caller puts before each line.
    """
    return (f"  {piece}" for piece in pieces(line, taken + 2, hides=misleads))


def pieces(line: str, taken: int, sign: str = "| ", hides: Callable[[str], bool] = is_hidden) -> Iterator[str]:
    """Yield a line in pieces that fit the terminal, with every character escaped that `hides` something.

    The first begins with `sign`, the others with `: `; `taken` columns are left free.
    """
    room = max(width() - taken - 3, 20)
    piece, left = sign, room
    for character in rewritten(line, hides):
        columns = 1 if character.isascii() else 2  # others may take two
        if columns > left:
            yield piece
            piece, left = ": ", room
        piece += character
        left -= columns
    yield piece


def clipped(text: str, length: int) -> str:
    """Return the text in at most `length` characters."""
    return text if len(text) <= length else text[: max(length - 1, 0)] + "…"


def age(moment: str) -> str:
    """Return how long ago an ISO 8601 time was, in its largest unit: 40s, 5m, 3h, 12d."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    unit, size = next((unit for unit in _UNITS if seconds >= unit[1]), _UNITS[-1])
    return f"{max(seconds, 0) // size:.0f}{unit}"
