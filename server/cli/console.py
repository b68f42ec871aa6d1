"""Text on its way to a terminal: what comes from a task must be read there, never obeyed."""

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
    """A stream for people: colours where they can be seen, nothing a terminal would obey where there is one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._coloured = self.is_terminal and not plain
        self._line_is_open = False

    def paint(self, text: str, style: Style) -> str:
        """The text in a style, where this stream shows colours."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._coloured else text

    def print(self, line: str = "") -> None:
        """Write a line of our own; what it quotes must have been made harmless."""
        self._write(f"{line}\n")

    def pass_on(self, text: str) -> None:
        """Write a task's text: as it is into a file or pipe, harmless on a terminal."""
        self._write(harmless(text) if self.is_terminal else text)

    def end_line(self) -> None:
        """Let what comes next on the terminal begin on a line of its own."""
        if self.is_terminal and self._line_is_open:
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            self._line_is_open = not text.endswith("\n")
            self._stream.write(text)
            self._stream.flush()


def width() -> int:
    """The columns of the terminal, or 80."""
    return shutil.get_terminal_size().columns


def harmless(text: str) -> str:
    """The text with every character that a terminal would obey written out, save newline and tab."""
    return _OBEYED.sub(lambda found: written_out(found[0]), text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The text, harmless, on one line."""
    return harmless(" ".join(text.split()))


def framed(text: str) -> Iterator[str]:
    """The lines of a block that cannot hide or pretend anything.

    Every line begins in a margin, also where it is too long and goes on in the next: text cannot pose as ours.
    """
    for line in text.split("\n"):
        yield from (f"  {piece}" for piece in pieces(line, 2))


def decided(line: str, taken: int) -> Iterator[str]:
    """The same of one line that a person decides about, in which nothing reads differently from what it is either.

    `taken` columns are the caller's, for a mark of its own before each line.
    """
    return (f"  {piece}" for piece in pieces(line, taken + 2, hides=misleads))


def pieces(line: str, taken: int, sign: str = "| ", hides: Callable[[str], bool] = is_hidden) -> Iterator[str]:
    """A line with every character written out that `hides` something, in pieces that a terminal does not break.

    The first begins with `sign`, the others with `: `; the terminal has `taken` columns less for them.
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
    """The text in at most `length` characters."""
    return text if len(text) <= length else text[: max(length - 1, 0)] + "…"


def age(moment: str) -> str:
    """How long ago an ISO 8601 moment was, in its largest unit: 40s, 5m, 3h, 12d."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    unit, size = next((unit for unit in _UNITS if seconds >= unit[1]), _UNITS[-1])
    return f"{max(seconds, 0) // size:.0f}{unit}"
