"""What the shell agent takes from a message: its commands, and what of it is no command.

A command stands on a line that begins with `$ `, with the lines after it up to the next such line or an empty one, or
in a fenced block of sh. What is open at the end of a line, a quote, a here-document or a block, goes on until it is
closed. Lines end at line feeds alone.
"""

import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice, takewhile

from server.agents.shell.lexer import Lexer
from server.agents.shell.state import Opened
from server.errors import Code, RemitError

PROMPT = "$ "
CONTINUATION = "> "

SHOWN = 100
"""Characters of a message that a warning or an error repeats."""

_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*([^`\s]*)[^`]*")
_SCRIPTS = frozenset({"sh", "bash", "shell"})
_SESSIONS = frozenset({"console", "shell-session", "shellsession", "sh-session", "bash-session", ""})
"""Fences whose lines are commands where they begin with a prompt, and output where they do not."""

_BLANKS = " \t\r\n"

_INTERPRETER = re.compile(r"#![ \t]*(/\S+)(?:[ \t]+(.*\S))?[ \t]*")


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """One command of a message."""

    text: str
    line: int
    """Of the message, counted from 1."""

    @property
    def interpreter(self) -> tuple[str, ...] | None:
        """The program and its argument that the first line names, as the kernel reads `#!`; None for the shell."""
        found = _INTERPRETER.fullmatch(self.text.partition("\n")[0])
        return tuple(part for part in found.groups() if part) if found else None


@dataclass(slots=True)
class Reading:
    """What was found in a message."""

    commands: list[ShellCommand] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)
    """Lines that are no commands and are left out."""

    joined: list[int] = field(default_factory=list)
    """Lines that were taken for a part of the command above them, although it was complete."""

    @property
    def warnings(self) -> list[str]:
        """What whoever wrote the message should know, a sentence each."""
        said = []
        if words := " ".join(" ".join(self.prose).split()):
            said.append(f"message: taken for prose and left out: {shortened(words)}")
        if self.joined:
            lines = ", ".join(map(str, self.joined[:10])) + (" …" if len(self.joined) > 10 else "")
            said.append(
                f"message: line {lines} runs as a part of the command above; an empty line between keeps output and "
                "prose apart"
            )
        return said


def read(message: str) -> Reading:
    """The commands of a message, in order.

    Raises RemitError (VALIDATION_ERROR) for a command or a fence that is never closed; names what, and its line.
    """
    if message.count("\n") == message.count("\r\n"):  # written where lines end so
        message = message.replace("\r\n", "\n")
    return _Reader(message.split("\n")).read()


def shortened(text: str) -> str:
    """The beginning of a text in quotes, on one line."""
    line = " ".join(text.split())
    return f"'{line[:SHOWN]}{' …' if len(line) > SHOWN else ''}'"


class _Reader:
    """The lines of a message, or of a fence in it, and how far they have been read."""

    def __init__(self, lines: Sequence[str], first: int = 1, *, is_session: bool = False) -> None:
        self._lines = lines
        self._first = first
        self._is_session = is_session
        self._at = 0
        self._tries_prompts = True
        """Whether what is open may be written with second prompts: once it was not, no more is tried."""

        self._found = Reading()

    def read(self) -> Reading:
        """Read them all."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.startswith(PROMPT):
                self._read_command()
            elif fence := _FENCE.fullmatch(line.rstrip()):
                self._read_fence(fence[1], fence[2].lower())
            else:
                self._found.prose.append(line)
                self._at += 1
        return self._found

    def _read_command(self) -> None:
        start = self._at
        lexer = Lexer()
        text = [self._lines[start].removeprefix(PROMPT)]
        lexer.feed(text[0])
        self._at += 1
        while text[0].strip(_BLANKS) and self._at < len(self._lines) and (taken := self._continuation(lexer)):
            text += taken
            self._at += len(taken)
        command = "\n".join(text).strip(_BLANKS)
        if command:
            _check(lexer, self._first + start, command)
            self._found.commands.append(ShellCommand(command, self._first + start))

    def _continuation(self, lexer: Lexer) -> list[str]:
        """The next lines of a command, as they belong to it and fed to the lexer; none at its end."""
        line = self._lines[self._at]
        if lexer.opened:
            return (self._tries_prompts and self._prompted(lexer)) or _fed(lexer, line)
        if line.startswith(CONTINUATION) or (_is_prompted(line) and lexer.unfinished):
            return _fed(lexer, line[len(CONTINUATION) :])
        if not line.strip(_BLANKS) or line.startswith(PROMPT) or _FENCE.fullmatch(line.rstrip()):
            return []
        if lexer.unfinished is None:
            if self._is_session:  # what its program has written
                return []
            self._found.joined.append(self._first + self._at)
        return _fed(lexer, line)

    def _prompted(self, lexer: Lexer) -> list[str]:
        """The lines that close what is open, without the second prompt that each of them begins with; or none."""
        if not _is_prompted(self._lines[self._at]):
            return []
        trial, taken = deepcopy(lexer), list[str]()
        for line in takewhile(_is_prompted, islice(self._lines, self._at, None)):
            taken += _fed(trial, line[len(CONTINUATION) :])
            if not trial.opened:
                for each in taken:
                    lexer.feed(each)
                return taken
        self._tries_prompts = False
        return []

    def _read_fence(self, mark: str, language: str) -> None:
        start = self._at
        end = next((n for n in range(start + 1, len(self._lines)) if _closes(self._lines[n], mark)), None)
        if end is None:
            raise _refused(f"the fence {mark}{language} in line {self._first + start} is never closed")
        self._at = end + 1
        inside, first = self._lines[start + 1 : end], self._first + start + 1
        is_prompted = next((line for line in inside if line.strip(_BLANKS)), "").startswith(PROMPT)
        if language in _SCRIPTS and not is_prompted:
            self._read_script(inside, first)
        elif language in _SCRIPTS or (language in _SESSIONS and is_prompted):
            self._take(_Reader(inside, first, is_session=language in _SESSIONS).read())
        else:
            self._found.prose += self._lines[start : end + 1]

    def _read_script(self, lines: Sequence[str], first: int) -> None:
        """A block without prompts is one command."""
        text = "\n".join(lines).strip(_BLANKS)
        if not text:
            return
        command = ShellCommand(text, first)
        if command.interpreter is None:
            lexer = Lexer()
            for line in lines:
                lexer.feed(line)
            _check(lexer, first, command.text)
        self._found.commands.append(command)

    def _take(self, inside: Reading) -> None:
        self._found.commands += inside.commands
        self._found.prose += inside.prose
        self._found.joined += inside.joined


def _is_prompted(line: str) -> bool:
    return line.startswith(CONTINUATION) or line == CONTINUATION.rstrip()


def _fed(lexer: Lexer, line: str) -> list[str]:
    lexer.feed(line)
    return [line]


def _closes(line: str, mark: str) -> bool:
    line = line.rstrip()
    return len(line) >= len(mark) and set(line) == {mark[0]}


def _check(lexer: Lexer, first: int, command: str) -> None:
    if opened := lexer.unfinished:
        raise _refused(f"{_named(opened, first, command)} is never closed or followed by anything")
    if lexer.stray:
        raise _refused(f"{_named(lexer.stray, first, command)} closes or continues nothing")


def _named(opened: Opened, first: int, command: str) -> str:
    return f"in the command {shortened(command)}, {opened.what} in line {first + opened.line - 1}"


def _refused(reason: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, f"message: {reason}; nothing of the message was run", field="message")
