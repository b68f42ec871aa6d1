"""Lexer of shell commands: finds the quotes, here-documents, substitutions and blocks left open at the end of a line.

It follows the grammar of bash (Shell Grammar in bash(1)) as far as that decides where a command ends, and no further:
it runs, expands and checks nothing.
"""

import re
from dataclasses import dataclass, field

from server.agents.shell.lexer_state import ConstructKind, Document, Frame, LexerState, OpenConstruct
from server.agents.shell.quotes import EXPANDED, META, PLAIN, QUOTES, QuoteReader

_OPENERS = {
    "if": ConstructKind.IF,
    "while": ConstructKind.LOOP,
    "until": ConstructKind.LOOP,
    "for": ConstructKind.LOOP,
    "select": ConstructKind.LOOP,
    "case": ConstructKind.CASE,
    "{": ConstructKind.BRACE,
    "[[": ConstructKind.TEST,
}
_CLOSERS = {"fi": ConstructKind.IF, "done": ConstructKind.LOOP, "esac": ConstructKind.CASE, "}": ConstructKind.BRACE}
_WITHIN = {"then": ConstructKind.IF, "elif": ConstructKind.IF, "else": ConstructKind.IF, "do": ConstructKind.LOOP}
_PREFIXES = frozenset({"!", "time", "coproc", *_WITHIN})
"""Words after which a command begins."""

_EXPANDED_OR_ESCAPED = re.compile(rf"\\.|{EXPANDED.pattern}")
_COPROCESS_NAME = re.compile(r"[ \t]+\w+(?=[ \t]+(?:[{(]|(?:while|until|for|if|case|select|\[\[)\s))")


@dataclass(slots=True)
class Lexer:
    """A lexer that reads a command line by line. Lines are given without their ends."""

    _state: LexerState = field(default_factory=LexerState)
    _body: bool = False
    """Whether the first of the here-documents is being read."""

    @property
    def stray(self) -> OpenConstruct | None:
        """The first word or parenthesis that closes or continues what was not opened."""
        return self._state.stray

    @property
    def apostrophe(self) -> int | None:
        """The first line whose last quote is opened by the apostrophe of a word, and not closed in it."""
        return self._state.apostrophe

    @property
    def reads(self) -> frozenset[str]:
        """The variables that are expanded or used in arithmetic, whoever sets them."""
        return frozenset(self._state.reads)

    @property
    def opened(self) -> OpenConstruct | None:
        """The innermost construct that keeps the command open, whatever line follows; None if none does."""
        if self._body:
            document = self._state.documents[0]
            return OpenConstruct(f"the here-document that ends with {document.delimiter!r}", document.line)
        if len(self._state.frames) > 1:
            return OpenConstruct(self._state.frames[-1].kind.value, self._state.frames[-1].line)
        return None

    @property
    def is_unclosed(self) -> bool:
        """Whether the command lacks the end of a quote, a here-document or a block."""
        return self.opened is not None or bool(self._state.documents)

    @property
    def unfinished(self) -> OpenConstruct | None:
        """The construct that lacks something at the end of the command; None if the command is complete."""
        if self.opened:
            return self.opened
        if self._state.documents:
            document = self._state.documents[0]
            return OpenConstruct(f"the here-document that ends with {document.delimiter!r}", document.line)
        return (
            OpenConstruct("a backslash at the end of the line", self._state.line)
            if self._state.joined
            else self._state.dangling
        )

    def feed(self, line: str) -> None:
        """Read the next line."""
        self._state.line += 1
        if self._body:
            self._read_document(line)
            return
        self._state.joined = False
        _CommandReader(self._state, line).read()
        if self._state.frames[-1].is_apostrophe and self._state.apostrophe is None:
            self._state.apostrophe = self._state.line
        if self._state.documents and not self._state.joined and self._state.frames[-1].kind not in QUOTES:
            self._body = True

    def _read_document(self, line: str) -> None:
        document = self._state.documents[0]
        continued = self._state.joined
        self._state.joined = not document.is_raw and _ends_with_backslash(line)
        if not document.is_raw:
            self._state.reads.update(found[1] for found in _EXPANDED_OR_ESCAPED.finditer(line) if found[1])
        if document.strips_tabs:
            line = line.lstrip("\t")
        if not continued and line == document.delimiter:
            self._state.joined = False
            self._state.documents.pop(0)
            self._body = bool(self._state.documents)


class _CommandReader(QuoteReader):
    """One line of commands as it is read."""

    def _step_command(self) -> None:
        character = self._text[self._at]
        if self._top.in_word:
            self._pass_word()
        elif character in " \t":
            self._at += 1
        elif character == "\n":
            self._at += 1
            self._separate()
        elif character == "#":
            self._at = len(self._text) - 1
        elif self._is_next("\\\n"):
            self._at += 2
            self._state.joined = True
        elif character in ";&|":
            self._read_operator()
        elif character in "<>":
            self._read_redirection()
        elif character == "(":
            self._read_parenthesis()
        elif character == ")":
            self._close_parenthesis()
        else:
            self._read_word()

    def _separate(self) -> None:
        """Note the end of a command, or of the line."""
        frame = self._top
        if not (frame.kind is ConstructKind.CASE and frame.words < 2):
            frame.starts = True
            if frame.kind is not ConstructKind.CASE:
                frame.words = 0

    def _read_operator(self) -> None:
        frame = self._top
        for operator in (";;&", ";;", ";&", "&&", "||", "|&", "&>>", "&>", ";", "&", "|"):
            if self._is_next(operator):
                break
        self._at += len(operator)
        if operator in ("&>", "&>>"):
            return
        if frame.kind is ConstructKind.CASE and operator in (";;", ";&", ";;&"):
            frame.in_pattern = True
        self._separate()
        follows = operator in ("&&", "||", "|", "|&") and not frame.in_pattern
        self._state.dangling = OpenConstruct(operator, self._state.line) if follows else None

    def _read_redirection(self) -> None:
        if self._is_process():
            self._state.dangling = None
            self._open(ConstructKind.SUBSTITUTION, 2)
            return
        self._top.starts = False
        if self._is_next("<<<"):
            self._at += 3
        elif self._is_next("<<"):
            self._at += 2
            self._read_delimiter()
        else:
            self._at += 2 if self._text[self._at : self._at + 2] in ("<&", ">&", ">|", "<>", ">>") else 1

    def _read_delimiter(self) -> None:
        strips_tabs = self._is_next("-")
        self._at += strips_tabs
        while self._text[self._at] in " \t":
            self._at += 1
        start = self._at
        word, is_raw = self._plain_word()
        if self._at > start:
            self._state.documents.append(Document(word, strips_tabs, is_raw, self._state.line))

    def _plain_word(self) -> tuple[str, bool]:
        """Read a word; return it without its quotes, and whether it had any."""
        word, is_quoted, quote = "", False, ""
        while (character := self._text[self._at]) != "\n" and (quote or character not in META):
            self._at += 1
            if character == quote:
                quote = ""
            elif not quote and character in "'\"":
                quote, is_quoted = character, True
            elif character == "\\" and quote != "'" and self._text[self._at] != "\n":
                word, is_quoted = word + self._text[self._at], True
                self._at += 1
            else:
                word += character
        return word, is_quoted

    def _read_parenthesis(self) -> None:
        frame = self._top
        if frame.kind is ConstructKind.CASE and frame.in_pattern:
            self._at += 1
            return
        if self._is_next("((") and (frame.starts or (frame.kind is ConstructKind.LOOP and frame.words == 0)):
            self._begin()
            self._open(ConstructKind.ARITHMETIC, 2)
            return
        self._begin()
        self._open(ConstructKind.SUBSHELL, 1)

    def _close_parenthesis(self) -> None:
        self._at += 1
        frame = self._top
        if frame.kind is ConstructKind.CASE and frame.in_pattern:
            frame.in_pattern, frame.starts = False, True
        elif frame.kind in (ConstructKind.SUBSHELL, ConstructKind.SUBSTITUTION):
            self._pop()
            self._after_parenthesis(frame)
        else:
            self._stray(")")

    def _after_parenthesis(self, closed: Frame) -> None:
        is_head = closed.kind is ConstructKind.SUBSHELL and closed.is_empty and not closed.words and closed.starts
        if is_head:  # of a function: its body follows
            self._top.starts = True
            self._state.dangling = OpenConstruct("the head of a function", closed.line)
        else:
            self._top.starts = closed.kind is ConstructKind.SUBSHELL

    def _begin(self) -> None:
        """Note something that is not an operator: an operator before it is now followed by something."""
        self._state.dangling = None
        self._top.is_empty = False

    def _read_word(self) -> None:
        frame, start = self._top, self._at
        literal = self._literal()
        if self._reserved(literal):
            return
        self._begin()
        frame.words += 1
        if frame.kind is ConstructKind.CASE and frame.words == 2 and not frame.in_pattern and literal == "in":
            frame.in_pattern = True
            return
        self._at = start
        frame.starts = frame.is_function
        self._pass_word()

    def _literal(self) -> str | None:
        """Return the word that begins here, or None if it has quotes or expansions."""
        start = self._at
        while self._text[self._at] not in META:
            if self._text[self._at] in "'\"`\\$":
                return None
            self._at += 1
        return self._text[start : self._at]

    def _reserved(self, word: str | None) -> bool:
        """Interpret a reserved word at the beginning of a command; returns whether it was one."""
        frame = self._top
        if word == "do" and frame.kind is ConstructKind.LOOP and frame.words == 1:  # for NAME do
            frame.starts = True
        if word is None or (not frame.starts and not (word == "esac" and frame.in_pattern)):
            return False
        if frame.in_pattern and word != "esac":
            return False
        if word in _CLOSERS or word in _WITHIN:
            return self._close_or_continue(word)
        if word in _OPENERS:
            self._begin()
            frame.starts = False
            self._push(_OPENERS[word], starts=word not in ("for", "select", "case"))
            return True
        if word in _PREFIXES:
            self._begin()
            if word == "coproc" and (named := _COPROCESS_NAME.match(self._text, self._at)):
                self._at = named.end()
            return True
        if word == "function":
            self._begin()
            frame.is_function, frame.starts = True, False
            return True
        return False

    def _close_or_continue(self, word: str) -> bool:
        wanted = _CLOSERS.get(word) or _WITHIN[word]
        if self._top.kind is not wanted or len(self._state.frames) == 1:
            self._stray(word)
            return True
        self._begin()
        self._top.words = 0
        self._top.starts = True
        if word in _CLOSERS:
            self._pop()
            self._top.starts = True
        return True

    def _stray(self, word: str) -> None:
        if self._state.stray is None:
            self._state.stray = OpenConstruct(word, self._state.line)

    def _pass_word(self) -> None:
        """Skip a word to its end, or to a construct that it opens and that it continues after."""
        frame = self._top
        frame.in_word = True
        while True:
            self._skip(PLAIN)
            if self._escape():
                if self._at == len(self._text):
                    self._state.joined = True
                    return
                continue
            if self._expand(quoted=False):
                return
            character = self._text[self._at]
            if character == "(" and self._text[self._at - 1] in "=?*+@!":
                is_array = self._text[self._at - 1] == "="
                self._open(ConstructKind.ARRAY if is_array else ConstructKind.PATTERN, 1)
                return
            if character in META:
                self._end_word()
                return
            self._at += 1

    def _end_word(self) -> None:
        frame = self._top
        frame.in_word = False
        if frame.is_function:
            frame.is_function = False
            self._state.dangling = OpenConstruct("the head of a function", self._state.line)


def _ends_with_backslash(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1
