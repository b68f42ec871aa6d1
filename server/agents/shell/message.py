"""Parser of messages for the shell agent: the commands of a message, and the lines that are none.

A command stands on a line that begins with `$ `, with the lines after it up to the next such line or an empty one, or
in a fenced block of sh. What is open at the end of a line, a quote, a here-document or a block, goes on until it is
closed. Lines end at line feeds alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile

from server.agents.shell import assignments
from server.agents.shell.lexer import Lexer
from server.agents.shell.lexer_state import OpenConstruct
from server.characters import visible
from server.errors import Code, RemitError

PROMPT = "$ "
CONTINUATION = "> "

SHOWN = 100
"""Characters of a message that a warning or an error repeats."""

_FENCE = re.compile(r"( {0,3}(?:([-*+]|\d{1,9}[.)]) {1,4})?+)(`{3,}|~{3,})[ \t]*+([^`\s]*+)[^`]*+")
"""The line that begins a block: what stands before its mark, a bullet or number of a list, the mark, its language."""

_MISPLACED = re.compile(r"(?<![`~])(?:`{3,}+|~{3,}+)[ \t]*+(?:sh|bash|shell|console)\s*+\Z")
"""The end of a line as of one that begins a block of commands."""

_SCRIPTS = frozenset({"sh", "bash", "shell"})
_SESSIONS = frozenset({"console", "shell-session", "shellsession", "sh-session", "bash-session", ""})
"""Fences whose lines are commands where they begin with a prompt, and output where they do not."""

_NESTED = "; a block that has a line of ``` in it begins and ends with a longer fence, as ````sh"

_BLANKS = " \t\r\n"

_BYTE_ORDER_MARK = "\ufeff"
"""The character with which some editors begin a file."""

_SHELL = re.compile(r"(?:^|[/ ])(?:ba|da|k|z)?sh(?: |$)")
"""In the words after `#!`: a shell, whose quotes and blocks go on over lines as those of commands do."""

_INTERPRETER = re.compile(r"#![ \t]*(/\S+)(?:[ \t]+(.*\S))?[ \t]*")


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """One command of a message."""

    text: str
    line: int
    """The line of the message, counted from 1."""

    reads: frozenset[str] = frozenset()
    """The variables that it reads and does not set itself; those of a shell alone."""

    @property
    def interpreter(self) -> tuple[str, ...] | None:
        """The program and its argument that the first line names, as the kernel reads `#!`; None for the shell."""
        return _interpreter(self.text.partition("\n")[0])


@dataclass(slots=True)
class ParsedMessage:
    """The commands of a message and the lines left out."""

    commands: list[ShellCommand] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)
    """Lines that are no commands and are left out."""

    joined: list[int] = field(default_factory=list)
    """Lines that were taken for a part of the command above them, although it was complete."""

    @property
    def warnings(self) -> list[str]:
        """Warnings for the author of the message, a sentence each."""
        said = []
        if words := " ".join(" ".join(self.prose).split()):
            said.append(f"message: taken for prose and left out: {shortened(words)}{self.mistake}")
        if self.joined:
            lines = ", ".join(map(str, self.joined[:10])) + (" …" if len(self.joined) > 10 else "")
            said.append(
                f"message: line {lines} runs as a part of the command above; an empty line between keeps output and "
                "prose apart"
            )
        return said

    @property
    def mistake(self) -> str:
        """Why a line of the prose that was meant as a command is none, as the end of a sentence; else empty."""
        for line in self.prose:
            if _is_almost_prompted(line):
                return f" ('$ ', a dollar and a space, is not the beginning of {_quoted(line)})"
            if fence := _fence(line):
                return f" (a block of commands begins with ```sh, not with {fence[3]}{fence[4]})"
            if misplaced := _misplaced(line):
                return misplaced
        return ""


def read(message: str) -> ParsedMessage:
    """Return the commands of a message, in order.

    Raises RemitError (VALIDATION_ERROR) for a command or a fence that is never closed; names what, and its line.
    """
    message = message.removeprefix(_BYTE_ORDER_MARK)
    if message.count("\n") == message.count("\r\n"):  # written where lines end so
        message = message.replace("\r\n", "\n")
    return _Reader(message.split("\n")).read()


def shortened(text: str) -> str:
    """Return the beginning of a text in quotes, on one line."""
    return _quoted(" ".join(text.split()))


def _quoted(line: str) -> str:
    return f"'{visible(line[:SHOWN])}{' …' if len(line) > SHOWN else ''}'"


def _is_almost_prompted(line: str) -> bool:
    """Return whether a line has a prompt after an indentation, number, bullet or `user@host:~`, or with odd blanks."""
    before, dollar, command = line.partition("$")
    bare = before.strip()
    is_prompt = not any(each.isalpha() for each in bare) or ("@" in bare and len(bare.split()) == 1)
    return bool(dollar) and command[:1].isspace() and command.strip() != "" and is_prompt


def _misplaced(line: str) -> str:
    """Return why a line that was meant to begin a block does not; empty if none was meant to."""
    if _fence(line) or not _MISPLACED.search(line):
        return ""
    return (
        " (a block of commands begins with ```sh at the beginning of a line, or behind up to three spaces or the "
        f"bullet of a list, not with {_quoted(line)})"
    )


class _Reader:
    """The lines of a message, or of a fence in it, and how far they have been read."""

    def __init__(self, lines: Sequence[str], first: int = 1, *, is_session: bool = False) -> None:
        self._lines = lines
        self._first = first
        self._is_session = is_session
        self._at = 0
        self._found = ParsedMessage()

    def read(self) -> ParsedMessage:
        """Read all lines, and return the commands and the prose."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.startswith(PROMPT):
                self._read_command()
            elif fence := _fence(line):
                self._read_fence(*fence.groups(default=""))
            else:
                self._found.prose.append(line)
                self._at += 1
        return self._found

    def _read_command(self) -> None:
        start, first = self._at, self._lines[self._at].removeprefix(PROMPT)
        self._at += 1
        interpreter = _interpreter(first)
        if interpreter and not _SHELL.search(" ".join(interpreter)):
            self._read_foreign(first, start)
        else:
            self._read_shell(first, start, is_script=interpreter is not None)

    def _read_foreign(self, first: str, start: int) -> None:
        """Read a command whose first line names an interpreter that is not a shell."""
        rest = list(takewhile(_goes_on, islice(self._lines, self._at, None)))
        self._at += len(rest)
        self._found.commands.append(ShellCommand("\n".join([first, *rest]).strip(_BLANKS), self._first + start))

    def _read_shell(self, first: str, start: int, *, is_script: bool) -> None:
        """Read a shell command; `is_script` if its first line names the shell."""
        lexer, text = Lexer(), [first]
        lexer.feed(first)
        if lexer.opened:
            text += self._prompted(lexer, first)
            self._at += len(text) - 1
        while first.strip(_BLANKS) and self._at < len(self._lines):
            taken = self._continuation(lexer, is_script=is_script)
            if not taken:
                break
            text += taken
            self._at += 1
        command = "\n".join(text).strip(_BLANKS)
        if command:
            _check(lexer, _Lines(command, self._first + start))
            reads = assignments.unset(command, lexer.reads)
            self._found.commands.append(ShellCommand(command, self._first + start, reads))

    def _continuation(self, lexer: Lexer, *, is_script: bool) -> list[str]:
        """Return the next line of a command, without its prompt and fed to the lexer; empty at the command's end.

        Below the name of an interpreter, lines belong to a complete command, too.
        """
        line = self._lines[self._at]
        if lexer.opened:
            return _fed(lexer, line)
        if _is_prompted(line):  # after a command that is complete it is output, or quoted words
            return _fed(lexer, line[len(CONTINUATION) :]) if lexer.unfinished else []
        if not _goes_on(line):
            return []
        if lexer.unfinished is None and not is_script:
            if self._is_session:  # what its program has written
                return []
            self._found.joined.append(self._first + self._at)
        return _fed(lexer, line)

    def _prompted(self, lexer: Lexer, opening: str) -> list[str]:
        """Return the prompted lines that close what the first line opened, without prompts; empty if none do."""
        taken = list[str]()
        trial = Lexer()
        for line in takewhile(_is_prompted, islice(self._lines, self._at, None)):
            if not taken:
                trial.feed(opening)
            taken += _fed(trial, line[len(CONTINUATION) :])
            if not trial.opened:
                for each in taken:
                    lexer.feed(each)
                return taken
        return []

    def _read_fence(self, before: str, bullet: str, mark: str, named: str) -> None:
        start, language, item = self._at, named.lower(), before if bullet else ""
        end = next((n for n in range(start + 1, len(self._lines)) if _closes(self._lines[n], item, mark)), None)
        name = f"the fence {mark}{language} in line {self._first + start}"
        if end is None:
            hint = next(filter(None, map(_misplaced, self._found.prose)), "")
            raise _refused(f"{name} is never closed{hint}")
        self._at = end + 1
        inside, first = [_outdented(line, before) for line in self._lines[start + 1 : end]], self._first + start + 1
        is_prompted = next(filter(_is_code, inside), "").startswith(PROMPT)
        is_script = language in _SCRIPTS and not is_prompted
        if not is_script and not (is_prompted and language in _SCRIPTS | _SESSIONS):
            self._found.prose += self._lines[start : end + 1]
            return
        if bullet:
            self._check_item(name, item, start + 1, end + 1)
        if is_script:
            self._read_script(inside, first, _NESTED if any(map(_fence, self._lines[end + 1 :])) else "")
        else:
            self._take(_Reader(inside, first, is_session=language in _SESSIONS).read())

    def _check_item(self, name: str, before: str, start: int, stop: int) -> None:
        """Refuse a block behind a bullet whose lines would be outside of the list's item, where its end is not sure."""
        for number, line in enumerate(self._lines[start:stop], start=self._first + start):
            if line.strip(_BLANKS) and not line.startswith(" " * len(before)):
                raise _refused(
                    f"{name} stands behind '{before}', and line {number} is not indented as far; write both fences at "
                    "the beginning of lines of their own"
                )

    def _read_script(self, lines: Sequence[str], first: int, hint: str) -> None:
        """Read a block without prompts as one command; `hint` is what may have ended it too early."""
        text = "\n".join(lines).strip(_BLANKS)
        if not text:
            return
        command = ShellCommand(text, first)
        if command.interpreter is None:
            lexer = Lexer()
            for number, line in enumerate(lines, start=1):
                if line.startswith(PROMPT) and not lexer.opened:
                    raise _refused(f"line {number} of a block begins with '$ ', and its first command does not")
                lexer.feed(line)
            _check(lexer, _Lines(text, 1, " of its block"), hint)
            command = ShellCommand(text, first, assignments.unset(text, lexer.reads))
        self._found.commands.append(command)

    def _take(self, inside: ParsedMessage) -> None:
        self._found.commands += inside.commands
        self._found.prose += inside.prose
        self._found.joined += inside.joined


def _interpreter(line: str) -> tuple[str, ...] | None:
    found = _INTERPRETER.fullmatch(line)
    return tuple(part for part in found.groups() if part) if found else None


def _goes_on(line: str) -> bool:
    """Return whether a line belongs to a complete command above it."""
    return line.strip(_BLANKS) != "" and not line.startswith(PROMPT) and _fence(line) is None


def _is_prompted(line: str) -> bool:
    return line.startswith(CONTINUATION) or line == CONTINUATION.rstrip()


def _fed(lexer: Lexer, line: str) -> list[str]:
    lexer.feed(line)
    return [line]


def _fence(line: str) -> re.Match[str] | None:
    return _FENCE.fullmatch(line.rstrip())


def _closes(line: str, item: str, mark: str) -> bool:
    """Return whether a line ends a block, whose first mark stands behind such a bullet."""
    line = _outdented(_outdented(line.rstrip(), item), "   ")
    return len(line) >= len(mark) and set(line) == {mark[0]}


def _outdented(line: str, indent: str) -> str:
    """Remove as many spaces from the beginning of a line as `indent` has, or as many as there are."""
    return line[min(len(indent), len(line) - len(line.lstrip(" "))) :]


def _is_code(line: str) -> bool:
    return line.strip(_BLANKS) != "" and not line.startswith("#")


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of a command, as an error names them: by their numbers in the message, or in their own block.

    The command line puts several lines into a block, so that their numbers are those of what was typed.
    """

    command: str
    first: int
    of: str = ""

    def named(self, what: str, line: int) -> str:
        """Describe `what` in a line of the command, counted from 1."""
        return f"in the command {shortened(self.command)}, {what} in line {self.first + line - 1}{self.of}"

    def opened(self, opened: OpenConstruct) -> str:
        """Describe what was opened, and where."""
        return self.named(opened.what, opened.line)


def _check(lexer: Lexer, lines: _Lines, hint: str = "") -> None:
    if opened := lexer.unfinished:
        missing = "closed" if lexer.is_unclosed else "followed by anything"
        raise _refused(f"{lines.opened(opened)} is never {missing}{hint}")
    if lexer.apostrophe:
        raise _refused(
            f"{lines.named('the apostrophe', lexer.apostrophe)} opens a quote of several lines; escape it (\\'), or "
            "write double quotes"
        )
    if lexer.stray:
        raise _refused(f"{lines.opened(lexer.stray)} closes or continues nothing")


def _refused(reason: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, f"message: {reason}; nothing of the message was run", field="message")
