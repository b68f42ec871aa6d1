"""View of a turn's output: both of its ends, what is new of it, or the next piece from a cursor on."""

import re
from dataclasses import dataclass
from typing import Any

from server.errors import Code, RemitError
from server.tasks.views import truncation
from server.tasks.views.truncation import AnswerPart
from server.tasks.views.view_models import OutputView

_CURSOR = re.compile(r"(\d{1,9}):(\d{1,12})")

_WEIGHT = 12
"""The weight of the output among the parts of an answer: it is the main part."""

_TAIL = 2 / 3
"""The share of a long output that is kept from its end, where errors are."""

MAX_REPEATED = 200
"""Characters that are shown of a text which stands elsewhere in the answer as well."""

_AROUND = 100
"""Characters of the cursor, of a counter, and of the words between both ends, beside the numbers in the words."""


@dataclass(frozen=True, slots=True)
class TurnOutput:
    """The output of a turn so far, and whether more may come."""

    text: str
    turn: int
    is_open: bool

    def offset(self, cursor: str) -> int:
        """Return the number of characters before a cursor.

        Raises RemitError (VALIDATION_ERROR) for one that is no cursor, or none of this turn's output.
        """
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise _refused("it is not a cursor; use output.nextCursor of the last answer")
        turn, offset = int(found[1]), int(found[2])
        if turn != self.turn:
            raise _refused(f"it is of turn {turn} of the task, which is in turn {self.turn}: begin with {self.turn}:0")
        if offset > len(self.text):
            raise _refused(f"it is beyond the end of the output, which has {len(self.text)} characters")
        return offset

    def cursor(self, offset: int) -> str:
        """Return the cursor after `offset` characters."""
        return f"{self.turn}:{offset}"

    def piece(self, view: OutputView, start: int) -> AnswerPart:
        """Return the output from `start` on, cut at its end."""
        text = self.text[start:]

        def place(room: int) -> None:
            view["content"] = truncation.beginning(text, room - _AROUND)
            self._continue(view, start + len(view["content"]))

        return _part(place, text)

    def ends(self, view: OutputView, start: int) -> AnswerPart:
        """Return the output from `start` on. If it is too long, its middle is left out, and a cursor reads on there."""
        text = self.text[start:]

        def place(room: int) -> None:
            if start:
                view["omittedBefore"] = start
            if _taken(text) <= room:
                view["content"] = text
                self._continue(view, len(self.text))
                return
            left = room - _AROUND - 60
            tail = truncation.end(text, int(left * _TAIL))
            head = truncation.beginning(text, left - int(left * _TAIL))
            cursor = self.cursor(start + len(head))
            missing = len(text) - len(head) - len(tail)
            view["content"] = (
                f'{head}\n[… {missing} characters left out here; outputCursor "{cursor}" reads on …]\n{tail}'
            )
            view["nextCursor"] = cursor

        return _part(place, text)

    def _continue(self, view: OutputView, offset: int) -> None:
        if self.is_open or offset < len(self.text):
            view["nextCursor"] = self.cursor(offset)


def repeated(text: str) -> str:
    """Return a text that `output.content` has too: whole if it is short, else its beginning."""
    if len(text) <= MAX_REPEATED:
        return text
    return f"{text[:MAX_REPEATED]}… [{len(text)} characters in all: see output.content]"


def _part(place: Any, text: str) -> AnswerPart:
    return AnswerPart(place, _taken(text), _WEIGHT, _AROUND + 100)


def _taken(text: str) -> int:
    return truncation.size(text) + _AROUND


def _refused(why: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, f"outputCursor: {why}", field="outputCursor")
