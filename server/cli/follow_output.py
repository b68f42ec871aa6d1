"""How a task that is followed is heard: the one that was asked for in full, those beneath it in marked lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from server.cli.approval_prompt import ask, question
from server.cli.client import SHORT_ID
from server.cli.console import Screen, pieces
from server.cli.printing import note
from server.cli.terminal import open_terminal

if TYPE_CHECKING:
    from server.tasks.views.pending_approval import PendingApprovalView

LONGEST_REST = 4096  # characters of a line that are held back until it ends


class Foreground:
    """Output goes to standard output as it is, all else to standard error; calls are asked for at the terminal."""

    def __init__(self) -> None:
        self._out = Screen(sys.stdout)
        self._err = Screen(sys.stderr)

    def content(self, text: str) -> None:
        """The next piece of its output."""
        self._out.pass_on(text)

    def command(self, headline: str) -> None:
        """A command that begins, on one line."""
        self._out.end_line()
        self._err.print(self._err.paint(f"$ {headline}", "dim"))

    def status(self, text: str) -> None:
        """Where it stands: not told, a person who waits for one task sees that, and hears how it ended."""

    def say(self, text: str) -> None:
        """What a person should know, on one line."""
        self._out.end_line()
        note(text)

    def advise(self, text: str) -> None:
        """The same, with a command to be copied."""
        self.say(text)

    def decide(self, call: PendingApprovalView, command: str) -> str | None:
        """The person's outcome for a call that waits; None if they were told the command that decides it."""
        self._out.end_line()
        with open_terminal() as terminal:
            outcome = ask(terminal, call) if terminal else None
        if outcome is None:
            note(f"a call waits for approval: {command}")
        return outcome

    def end(self) -> None:
        """What comes next begins on a line of its own."""
        self._out.end_line()


class Background:
    """Whole lines on standard error, each marked with the short id; what the task wrote stands behind a bar.

    What is too long for the terminal goes on behind a mark and a colon: where a terminal broke it, it could pose as
    ours.
    """

    def __init__(self, task_id: str, foreground: Foreground) -> None:
        self._mark = f"[{task_id[:SHORT_ID]}]"
        self._taken = len(self._mark) + 1
        self._foreground = foreground
        self._err = Screen(sys.stderr)
        self._rest = ""

    def content(self, text: str) -> None:
        """The next piece of its output: the lines that are whole now."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._quote(line, "| ")
        if len(self._rest) > LONGEST_REST:
            self.end()

    def command(self, headline: str) -> None:
        """A command that begins, on one line."""
        self.end()
        self._quote(headline, "$ ")

    def status(self, text: str) -> None:
        """Where it stands."""
        self.say(text)

    def say(self, text: str) -> None:
        """What a person should know."""
        self.end()
        self._quote(text, "")

    def advise(self, text: str) -> None:
        """The same in words that are all ours, with a command to be copied: on one line."""
        self.end()
        self._print(text)

    def decide(self, call: PendingApprovalView, command: str) -> None:
        """Show a call that waits, in full, with the command that decides it: the terminal is the first task's."""
        self.end()
        for line in question(call, self._taken):
            self._print(line)
        self.advise(f"a call waits for approval: {command}")

    def end(self) -> None:
        """Show what has come of a line that has no end yet."""
        if self._rest:
            self._quote(self._rest, "| ")
        self._rest = ""

    def _quote(self, line: str, sign: str) -> None:
        for piece in pieces(line.removesuffix("\r").expandtabs(), self._taken, sign):
            self._print(piece)

    def _print(self, line: str) -> None:
        self._foreground.end()
        self._err.print(f"{self._err.paint(self._mark, 'dim')} {line}")
