"""Detection of characters that mislead a reader, and their escaped form."""

import re
import unicodedata
from collections.abc import Callable

# Printable by Unicode category, but invisible: fillers, blanks and variation selectors.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
# Look like a quote, a slash, a backslash, a bar or a # of the shell, and are none: of those in confusables.txt of
# UTS #39 the ones that NFKC leaves as they are, but for letters of living scripts.
_LIKE_SYNTAX = re.compile(
    "[\u00ab\u00b4\u00bb\u01c0\u02b0-\u02ff\u2018-\u201f\u2032-\u2037\u2039\u203a\u2044\u2215\u2223\u266f\u275b-\u275e\u29f5"
    "\ua78b\ua78c]"
)


def visible(text: str) -> str:
    """Return the text with invisible characters escaped: controls, line breaks, bidi marks and the like."""
    return rewritten(text, is_hidden)


def rewritten(text: str, wanted: Callable[[str], bool]) -> str:
    """Return the text with every `wanted` character escaped; `wanted` is called once for each distinct one."""
    return text.translate({ord(each): written_out(each) for each in set(text) if wanted(each)})


def is_hidden(character: str) -> bool:
    """Return whether a character is invisible, or not shown where it stands."""
    return not character.isprintable() or _UNSEEN.match(character) is not None


def misleads(character: str) -> bool:
    """Return whether a character is invisible, reorders its surroundings, or is taken for an ASCII character.

    The last are those whose compatibility form (NFKC) is ASCII, and those that look like shell syntax.
    """
    if character.isascii():
        return is_hidden(character)
    looks_like_ascii = unicodedata.normalize("NFKC", character).isascii() or _LIKE_SYNTAX.match(character) is not None
    return is_hidden(character) or looks_like_ascii or unicodedata.bidirectional(character) in _RIGHT_TO_LEFT


def written_out(character: str) -> str:
    """Return the escaped form of a character: `\n`, `\x1b`, `\u202e` and the like."""
    return character.encode("unicode_escape").decode("ascii")
