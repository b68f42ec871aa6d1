"""State of the shell lexer between two lines."""

from dataclasses import dataclass, field
from enum import Enum


class ConstructKind(Enum):
    """The kinds of constructs that can be open, in words for a person."""

    SINGLE = "a single quote (')"
    ANSI = "a quote ($')"
    DOUBLE = 'a double quote (")'
    BACKTICK = "a backquote (`)"
    PARAMETER = "${"
    SUBSTITUTION = "$("
    ARITHMETIC = "(("
    SUBSHELL = "("
    ARRAY = "an array, =("
    PATTERN = "a pattern in parentheses"
    BRACE = "{"
    IF = "if"
    LOOP = "a loop"
    CASE = "case"
    TEST = "[["


@dataclass(slots=True)
class Frame:
    kind: ConstructKind
    line: int
    starts: bool = True
    """Whether the next word begins a command: only there are reserved words reserved."""

    words: int = 0
    """Words since the frame was opened, or since its command began."""

    in_word: bool = False
    """Whether a word goes on behind what was opened in it."""

    is_apostrophe: bool = False
    """Whether a single quote is where an English word has an apostrophe."""

    depth: int = 0
    """Parentheses within arithmetic, or quotes that `${` stands in."""

    in_pattern: bool = False
    """Whether a `case` is before the `)` of one of its patterns."""

    is_empty: bool = True
    is_function: bool = False


@dataclass(slots=True)
class Document:
    delimiter: str
    strips_tabs: bool
    is_raw: bool
    line: int


@dataclass(frozen=True, slots=True)
class OpenConstruct:
    """An open construct, and the line that opened it, counted from the command's first as 1."""

    what: str
    line: int


@dataclass(slots=True)
class LexerState:
    """The whole state of the lexer."""

    frames: list[Frame] = field(default_factory=lambda: [Frame(ConstructKind.BRACE, 0)])
    documents: list[Document] = field(default_factory=list)
    """Here-documents whose bodies are still to be read."""

    joined: bool = False
    """Whether the last line goes on in the next, by a backslash at its end."""

    dangling: OpenConstruct | None = None
    """An operator, or the head of a function, that nothing has followed yet."""

    line: int = 0
    stray: OpenConstruct | None = None
    """The first word or parenthesis that closes or continues what was not opened."""

    apostrophe: int | None = None
    """The first line that has left open a quote which looks like an apostrophe."""

    reads: set[str] = field(default_factory=set)
    """The variables that are expanded, or calculated with."""
