"""Characters that hide something from whoever reads a text, and what is written in their place."""

import re
import unicodedata
from collections.abc import Callable

# Printable by their Unicode category, and yet nothing is seen of them: fillers, blanks, selectors of variants.
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
    """The text with every character written out that is not plainly visible: controls, line breaks, bidi marks, …"""
    return rewritten(text, is_hidden)


def rewritten(text: str, wanted: Callable[[str], bool]) -> str:
    """The text with every character written out that is `wanted`; each different one is looked at once."""
    return text.translate({ord(each): written_out(each) for each in set(text) if wanted(each)})


def is_hidden(character: str) -> bool:
    """Whether nothing is seen of a character, or not where it stands: by its Unicode category, or as it is drawn."""
    return not character.isprintable() or _UNSEEN.match(character) is not None


def misleads(character: str) -> bool:
    """Whether a character hides something, reorders its surroundings, or is taken for one of ASCII.

    That is what Unicode holds for another form of it (NFKC), or what looks like a sign of the shell.
    """
    if character.isascii():
        return is_hidden(character)
    looks_like_ascii = unicodedata.normalize("NFKC", character).isascii() or _LIKE_SYNTAX.match(character) is not None
    return is_hidden(character) or looks_like_ascii or unicodedata.bidirectional(character) in _RIGHT_TO_LEFT


def written_out(character: str) -> str:
    r"""`\n`, `\x1b`, `\u202e` and the like."""
    return character.encode("unicode_escape").decode("ascii")
