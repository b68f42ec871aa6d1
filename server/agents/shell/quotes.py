"""The insides of quotes, expansions, arrays and tests, where no word is a command."""

import re

from server.agents.shell.lexer_state import ConstructKind, Frame, LexerState

META = " \t\n;&|<>()"
"""The characters that end a word of a command."""

QUOTES = frozenset(
    {ConstructKind.SINGLE, ConstructKind.ANSI, ConstructKind.DOUBLE, ConstructKind.BACKTICK, ConstructKind.PARAMETER}
)
"""In which the end of a line is a character as any other."""

COMMANDS = (
    ConstructKind.BRACE,
    ConstructKind.IF,
    ConstructKind.LOOP,
    ConstructKind.CASE,
    ConstructKind.SUBSHELL,
    ConstructKind.SUBSTITUTION,
)
"""In which commands stand."""

# What stands for itself, in a word and within double quotes.
PLAIN = re.compile(r"[^\s;&|<>()'\"`\\$]+")
_PLAIN_QUOTED = re.compile(r"[^\"`\\$]+")
_PLAIN_SINGLE = re.compile(r"[^'\\]+")

EXPANDED = re.compile(r"\$(?:\{[#!]?)?([A-Za-z_]\w*)")
_WORD = re.compile(r"\w+")

# Don't, it's, we're: a quote within a word of letters, which no option and no assignment is.
_LONGEST_WORD = 20
_WORD_BEFORE = re.compile(r"(?:^|\s)[A-Za-z]+\Z")
_CONTRACTED = re.compile(r"'(?:t|s|m|d|re|ve|ll)\b")


class QuoteReader:
    """One line as it is read, and the state that it changes."""

    def __init__(self, state: LexerState, text: str) -> None:
        self._state = state
        self._text = text + "\n"
        self._at = 0

    def read(self) -> None:
        """Read to the end of the line."""
        while self._at < len(self._text):
            self._step()

    @property
    def _top(self) -> Frame:
        return self._state.frames[-1]

    def _push(self, kind: ConstructKind, **about: bool | int) -> None:
        self._top.is_empty = False
        self._state.frames.append(Frame(kind, self._state.line, **about))  # type: ignore[arg-type]

    def _pop(self) -> Frame:
        return self._state.frames.pop()

    def _is_next(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _step(self) -> None:
        kind = self._top.kind
        if kind in COMMANDS:
            self._step_command()
            return
        match kind:
            case ConstructKind.SINGLE | ConstructKind.ANSI:
                self._step_single()
            case ConstructKind.DOUBLE:
                self._step_double()
            case ConstructKind.BACKTICK:
                self._step_backtick()
            case ConstructKind.PARAMETER:
                self._step_parameter()
            case ConstructKind.ARITHMETIC:
                self._step_arithmetic()
            case ConstructKind.ARRAY | ConstructKind.PATTERN:
                self._step_list()
            case ConstructKind.TEST:
                self._step_test()

    def _step_command(self) -> None:
        """Read one step where a command may begin."""
        raise NotImplementedError

    # Quotes and expansions.

    def _skip(self, plain: re.Pattern[str]) -> bool:
        """Skip literal text; returns whether there was any."""
        found = plain.match(self._text, self._at)
        if found:
            self._at = found.end()
        return found is not None

    def _step_single(self) -> None:
        if self._skip(_PLAIN_SINGLE):
            return
        if self._top.kind is ConstructKind.ANSI and self._is_next("\\"):
            self._at += 2
        else:
            if self._is_next("'"):
                self._pop()
            self._at += 1

    def _step_double(self) -> None:
        if self._skip(_PLAIN_QUOTED):
            return
        if self._is_next('"'):
            self._pop()
            self._at += 1
        elif not self._escape() and not self._expand(quoted=True):
            self._at += 1

    def _step_backtick(self) -> None:
        self._note()
        if self._is_next("`"):
            self._pop()
            self._at += 1
        elif not self._escape():
            self._at += 1

    def _step_parameter(self) -> None:
        if self._is_next("}"):
            self._pop()
            self._at += 1
        elif not self._escape() and not self._expand(quoted=False, single=not self._top.depth):
            self._at += 1

    def _step_arithmetic(self) -> None:
        if self._is_next("))") and not self._top.depth:
            self._pop()
            self._at += 2
            self._top.starts = False
        elif self._is_next(")") and not self._top.depth:
            # It was no arithmetic, but a subshell within another, or within a substitution.
            self._top.kind = ConstructKind.SUBSHELL
            self._top.starts = False
            self._at += 1
        elif self._is_next("(") or self._is_next(")"):
            self._top.depth += 1 if self._is_next("(") else -1
            self._at += 1
        elif word := _WORD.match(self._text, self._at):
            self._at = word.end()
            self._state.reads.add(word[0])
        elif not self._escape() and not self._expand(quoted=False):
            self._at += 1

    def _escape(self) -> bool:
        """Skip a backslash and the character that it escapes, which may be the end of the line."""
        if not self._is_next("\\"):
            return False
        self._at += 2
        return True

    def _expand(self, *, quoted: bool, single: bool = True) -> bool:
        """Skip the beginning of a quote or an expansion, and open it."""
        if self._text[self._at] not in "'\"`$":
            return False
        self._note()
        if self._is_next("'") and not quoted and single:
            return self._open(ConstructKind.SINGLE, 1, is_apostrophe=self._is_apostrophe())
        if self._is_next('"') and not quoted:
            return self._open(ConstructKind.DOUBLE, 1)
        if self._is_next("`"):
            return self._open(ConstructKind.BACKTICK, 1)
        if self._is_next("$'") and not quoted and single:
            return self._open(ConstructKind.ANSI, 2)
        if self._is_next("${"):
            inside = quoted or (self._top.kind is ConstructKind.PARAMETER and self._top.depth > 0)
            return self._open(ConstructKind.PARAMETER, 2, depth=int(inside))
        if self._is_next("$(("):
            return self._open(ConstructKind.ARITHMETIC, 3)
        return self._is_next("$(") and self._open(ConstructKind.SUBSTITUTION, 2)

    def _note(self) -> None:
        """Note the variable that is expanded here, if one is."""
        if read := EXPANDED.match(self._text, self._at):
            self._state.reads.add(read[1])

    def _is_apostrophe(self) -> bool:
        before = _WORD_BEFORE.search(self._text, max(0, self._at - _LONGEST_WORD), self._at)
        return before is not None and _CONTRACTED.match(self._text, self._at) is not None

    def _open(self, kind: ConstructKind, width: int, **about: int) -> bool:
        self._at += width
        self._push(kind, **about)
        return True

    # Words in a row: arrays, patterns in parentheses, tests.

    def _step_list(self) -> None:
        if self._is_next(")"):
            self._pop()
            self._at += 1
        elif self._is_next("(") and self._top.kind is ConstructKind.PATTERN:
            self._open(ConstructKind.PATTERN, 1)
        elif self._is_next("#") and self._text[self._at - 1] in META and self._top.kind is ConstructKind.ARRAY:
            self._at = len(self._text)
        elif self._is_process():
            self._open(ConstructKind.SUBSTITUTION, 2)
        elif not self._escape() and not self._expand(quoted=False):
            self._at += 1

    def _step_test(self) -> None:
        if self._is_next("]]") and self._text[self._at - 1] in " \t\n)" and self._text[self._at + 2] in META:
            self._pop()
            self._at += 2
            self._top.starts = False
        elif not self._escape() and not self._expand(quoted=False):
            self._at += 1

    def _is_process(self) -> bool:
        return self._is_next("<(") or self._is_next(">(")
