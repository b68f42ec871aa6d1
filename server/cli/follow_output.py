"""Output of followed tasks: the requested task in full, its sub-tasks as marked lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from server.cli.approval_prompt import ask, question
from server.cli.console import Screen, pieces
from server.cli.printing import note
from server.cli.terminal import open_terminal
from server.limits import SHORT_ID

if TYPE_CHECKING:
    from server.tasks.views.pending_approval import PendingApprovalView

LONGEST_REST = 4096  # characters of a line that are held back until it ends


class Foreground:
    """The requested task: output goes to standard output, notes to standard error; the terminal asks about calls."""

    def __init__(self) -> None:
        self._out = Screen(sys.stdout)
        self._err = Screen(sys.stderr)

    def content(self, text: str) -> None:
        """Print the next piece of output."""
        self._out.pass_on(text)

    def command(self, headline: str) -> None:
        """Print the line of a command that begins."""
        self._out.end_line()
        self._err.print(self._err.paint(f"$ {headline}", "dim"))

    def status(self, text: str) -> None:
        """Print nothing: a person who follows one task sees its status, and is told how it ended."""

    def say(self, text: str) -> None:
        """Print a note on one line."""
        self._out.end_line()
        note(text)

    def advise(self, text: str) -> None:
        """Print a note that contains a command to be copied."""
        self.say(text)

    def decide(self, call: PendingApprovalView, command: str) -> str | None:
        """Ask the person to decide a call; returns the outcome, None if they were told the command for it."""
        self._out.end_line()
        with open_terminal() as terminal:
            outcome = ask(terminal, call) if terminal else None
        if outcome is None:
            note(f"a call waits for approval: {command}")
        return outcome

    def end(self) -> None:
        """Start a new line for what comes next."""
        self._out.end_line()


class Background:
    """A sub-task: whole lines on standard error, marked with its short id; its own text is behind a bar.

    A line too long for the terminal continues behind the mark and a colon, so that no part of it looks like remit's.
    """

    def __init__(self, task_id: str, foreground: Foreground) -> None:
        self._mark = f"[{task_id[:SHORT_ID]}]"
        self._taken = len(self._mark) + 1
        self._foreground = foreground
        self._err = Screen(sys.stderr)
        self._rest = ""

    def content(self, text: str) -> None:
        """Print the lines that the next piece of output completes."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._quote(line, "| ")
        if len(self._rest) > LONGEST_REST:
            self.end()

    def command(self, headline: str) -> None:
        """Print the line of a command that begins."""
        self.end()
        self._quote(headline, "$ ")

    def status(self, text: str) -> None:
        """Print the task's status."""
        self.say(text)

    def say(self, text: str) -> None:
        """Print a note."""
        self.end()
        self._quote(text, "")

    def advise(self, text: str) -> None:
        """Print a note of our own words that contains a command to be copied, on one line."""
        self.end()
        self._print(text)

    def decide(self, call: PendingApprovalView, command: str) -> None:
        """Print a waiting call in full, and the command that decides it: the prompt belongs to the first task."""
        self.end()
        for line in question(call, self._taken):
            self._print(line)
        self.advise(f"a call waits for approval: {command}")

    def end(self) -> None:
        """Print an unfinished line."""
        if self._rest:
            self._quote(self._rest, "| ")
        self._rest = ""

    def _quote(self, line: str, sign: str) -> None:
        for piece in pieces(line.removesuffix("\r").expandtabs(), self._taken, sign):
            self._print(piece)

    def _print(self, line: str) -> None:
        self._foreground.end()
        self._err.print(f"{self._err.paint(self._mark, 'dim')} {line}")
