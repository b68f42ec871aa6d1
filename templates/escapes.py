"""The escape sequences by which programs may write a character of a secret.

Covered: JSON, URLs, HTML, mails (quoted-printable), doubled quotes (CSV, SQL, YAML), C, Python, Rust and shells.
"""

import re
import sys
from collections.abc import Set
from functools import lru_cache
from html.entities import html5
from typing import NamedTuple

MOST_LEVELS = 3
"""Levels of nested escapes that are decoded: JSON within JSON within JSON."""


_WINDOW = 14  # longest escape after decoding one level: a surrogate pair within JSON
_INTRODUCERS = ("\\", "%", "&")
_NESTED = ("\\\\", "\\u", "\\%", "\\&", "%2", "%5", "&a", "&#")
_CONTROLS = dict(zip("abefnrtvE", "\a\b\x1b\f\n\r\t\v\x1b", strict=True))
_HEX = "[0-9A-Fa-f]"
_NEVER = "\0\1\2"  # added to a character set so that `re` uses a bitmap for it, which is twice as fast
_MADE_OF = "uUx0123456789abcdefABCDEFnrtvE#;'\""

_ESCAPE = re.compile(
    rf"""
    (?P<pair> \\u[dD][89ABab]{_HEX}{{2}} \\u[dD][C-Fc-f]{_HEX}{{2}} )
  | (?P<braces> \\u\{{ {_HEX}{{1,6}} \}} )
  | (?P<code> \\u{_HEX}{{4}} | \\U000{_HEX}{{5}} | \\U0010{_HEX}{{4}} )
  | (?P<hex> (?: \\x{_HEX}{{2}} ){{1,4}} )
  | (?P<octal> (?: \\[0-3][0-7]{{2}} ){{1,4}} )
  | (?P<percent> (?: %{_HEX}{{2}} ){{1,4}} )
  | (?P<control> \\[abefnrtvE] )
  | (?P<itself> \\[^0-9A-Za-z] )
  | (?P<number> &\#[0-9]{{1,7}}; | &\#[xX]{_HEX}{{1,6}}; )
  | (?P<entity> &[A-Za-z][A-Za-z0-9]{{1,30}}; )
  | (?P<mail> (?: ={_HEX}{{2}} ){{1,4}} )
  | (?P<doubled> "" | '' )
  | (?P<quote> '\\''? | '"'{{1,8}}"'? )
    """,
    re.VERBOSE,
)


def _bytes_begun(sign: str, leads: tuple[str, str, str], more: str, part: str) -> str:
    """Return a pattern for an incomplete UTF-8 sequence of escaped bytes: all but the last, which may be begun."""
    two, three, four = (sign + lead for lead in leads)
    return f"(?: {two} | {three} (?: {more} )? | {four} (?: {more} ){{0,2}} ) (?: {part} )?"


_LEADS = (f"[CDcd]{_HEX}", f"[Ee]{_HEX}", "[Ff][0-4]")
_BYTES_BEGUN = (
    _bytes_begun(r"\\x", _LEADS, rf"\\x[89ABab]{_HEX}", r"\\ (?: x [89ABab]? )?"),
    _bytes_begun(r"\\3", ("[0-3][0-7]", "[45][0-7]", "6[0-7]"), r"\\2[0-7]{2}", r"\\ (?: 2[0-7]? )?"),
    _bytes_begun("%", _LEADS, f"%[89ABab]{_HEX}", "% [89ABab]?"),
    _bytes_begun("=", _LEADS, f"=[89ABab]{_HEX}", "= [89ABab]?"),
)

# An incomplete escape at the end of a text.
_BEGUN = re.compile(
    rf"""
    \\ (?: u{_HEX}{{0,3}} | u\{{ {_HEX}{{0,6}} | U{_HEX}{{0,7}} | x{_HEX}? | [0-3][0-7]? )?
  | \\u[dD][89ABab]{_HEX}{{2}} (?: \\ (?: u (?: [dD] (?: [C-Fc-f]{_HEX}? )? )? )? )?
  | {" | ".join(_BYTES_BEGUN)}
  | [%=] {_HEX}?
  | & (?: \# (?: [0-9]{{0,7}} | [xX]{_HEX}{{0,6}} ) )? | &[A-Za-z][A-Za-z0-9]{{0,30}}
  | ' (?: \\'? | "'{{0,8}} | "'{{1,8}}" )? | "
    """,
    re.VERBOSE,
)


@lru_cache(maxsize=64)
def introduction(alphabet: frozenset[str]) -> re.Pattern[str]:
    """Return a pattern for the first character of escapes that may stand for characters of `alphabet`.

    It also matches escaped line breaks, and some escapes of other characters. Most numeric escapes of other characters
    are excluded: logs are full of them, and decoding each takes some microseconds. For escapes in mails see `in_mails`.
    """
    known = {*alphabet, "\r", "\n"}
    letters = "".join(letter for letter, control in _CONTROLS.items() if control in known)
    signs = re.escape("".join(sorted(sign for sign in {*alphabet, "%", "&"} - {"\\"} if not sign.isalnum())))
    octets = "|".join(sorted({f"{byte:02x}" for byte in _utf8(known | {*_INTRODUCERS})}))
    ways = {
        r"\\": [rf"(?=\\{{0,7}}(?:{_numbered(known)}|[{letters}{signs}]|\Z))"],
        "%": [rf"(?=(?i:{octets})|{_HEX}?\Z)"],
        "&": [r"(?=[#A-Za-z]|\Z)"],
    }
    if "\\" in alphabet:
        ways[r"\\"].append(r"(?=\\)")
    if "'" in alphabet:
        ways["'"] = [r"""(?=[\\"']|\Z)"""]
    if '"' in alphabet:
        ways['"'] = [r'(?="|\Z)']
    if " " in alphabet:
        ways[r"\+"] = [""]
    after = (rf"(?<={sign}){way}" for sign, several in ways.items() for way in several)
    return re.compile(f"[{''.join(ways)}{_NEVER}](?:{'|'.join(after)})")


def in_mails(alphabet: Set[str]) -> re.Pattern[str] | None:
    """Return a pattern for the quoted-printable escapes (RFC 2045 §6.7) of `alphabet`; None if none is escaped.

    It is separate from `introduction` since few characters are escaped in mails, and `=` is common elsewhere.
    """
    escaped = {each for each in alphabet if not "!" <= each <= "~" or each == "="}
    codes = {*_utf8(escaped), *(ord(each) for each in escaped if ord(each) < 256)}
    return re.compile("|".join(f"={code:02X}" for code in sorted(codes))) if codes else None


def _numbered(known: Set[str]) -> str:
    """Return a pattern for what follows the backslash in a numeric escape of a relevant character.

    Relevant are `known` and the characters that make up escapes, as these may be escaped themselves.
    """
    wanted = {*known, *_INTRODUCERS, *_MADE_OF}
    single = {ord(each) for each in wanted if ord(each) < 256}  # Python's repr writes these as \xNN
    codes = sorted(single.union(_utf8(wanted)))
    hexadecimal, octal = ("|".join(format(code, base) for code in codes) for base in ("02x", "03o"))
    short = "|".join(f"{code:02x}" for code in sorted(single))
    unicode = rf"(?:{_HEX}|\Z)" if max(map(ord, wanted)) > 255 else rf"(?:00(?i:{short})|{_HEX}{{0,3}}\Z)"
    unicode = rf"(?:\{{|{unicode})"
    return rf"x(?:(?i:{hexadecimal})|{_HEX}?\Z)|u{unicode}|U(?:{_HEX}|\Z)|{octal}|[0-3][0-7]?\Z"


def _utf8(characters: Set[str]) -> bytes:
    return "".join(characters).encode(errors="surrogatepass")


class EscapeReading(NamedTuple):
    """One reading of an escape: its length in the text, and the characters that it stands for."""

    length: int
    characters: str


# Common escapes of ASCII characters that begin no escape themselves: what follows does not change their meaning.
_SETTLED = re.compile(
    rf"\\{{1,8}}(?:(?:x|u00)(?:2[013489A-Fa-f]|[346]{_HEX}|5[0-9abdefABDEF]|7[0-9A-Ea-e])|[abefnrtv])"
)
_SHORT = (8, 20)  # lengths that suffice to decode most escapes
_FAR = 256  # longer than any nested escape: further from the end, no escape is incomplete


def readings(text: str, at: int) -> tuple[list[EscapeReading], bool]:
    """Return the readings of the text at index `at` as an escape, and whether more text may change them.

    At most `MOST_LEVELS` levels of nested escapes are decoded.
    """
    if at + _FAR < len(text):
        if settled := _SETTLED.match(text, at):
            return list(_settled(settled[0])), False
        for length in _SHORT:
            found, may_change = _known(text[at : at + length])
            if not may_change:
                return list(found), False
    return _readings(text, at, MOST_LEVELS)


@lru_cache(maxsize=16384)
def _known(beginning: str) -> tuple[tuple[EscapeReading, ...], bool]:
    """Return the readings at the beginning of a text. Cached, since a text with many escapes has few different ones."""
    found, may_change = _readings(beginning, 0, MOST_LEVELS)
    return tuple(found), may_change


@lru_cache(maxsize=4096)
def _settled(escape: str) -> tuple[EscapeReading, ...]:
    return tuple(_readings(escape + "." * _FAR, 0, MOST_LEVELS)[0])


def _readings(text: str, at: int, levels: int) -> tuple[list[EscapeReading], bool]:
    if text[at] == "+":  # a blank in form encoding
        return [EscapeReading(1, " ")], False
    found = _read(text, at)
    is_open = _is_begun(text, at)
    if found and levels > 1 and found[0].characters in _INTRODUCERS:
        window = _window(text, at)
        deeper, may_change = _readings(window.characters, 0, levels - 1)
        found += [EscapeReading(window.ends[length - 1], characters) for length, characters in deeper]
        if window.sure < len(window.characters):
            may_change = _readings(window.characters[: window.sure], 0, levels - 1)[1]
        is_open |= window.is_open and may_change
    return found, is_open


class _Window(NamedTuple):
    """The beginning of a text with one level of escapes decoded."""

    characters: str

    ends: list[int]
    """The index in the text after each character."""

    sure: int
    """The number of characters that more text cannot change."""

    is_open: bool
    """Whether more text may add other characters after those."""


def _window(text: str, at: int) -> _Window:
    """Decode one level of the text at `at`, as far as the result may be one escape."""
    characters, ends, index = "", list[int](), at
    sure: int | None = None
    while index < len(text) and (len(characters) < 2 or _may_go_on(characters)):
        if sure is None and characters and _is_begun(text, index):
            sure = len(characters)
        length, stands_for = (_read(text, index) or [EscapeReading(1, text[index])])[0]
        index += length
        characters += stands_for
        ends += [index - at] * len(stands_for)
    if sure is None:
        return _Window(characters, ends, len(characters), index >= len(text))
    return _Window(characters, ends, sure, is_open=True)


def _may_go_on(characters: str) -> bool:
    """Return whether further characters may belong to the escape, nested or not, at the beginning of `characters`."""
    is_nested = len(characters) < _WINDOW and characters.startswith(_NESTED) and characters[:4] != "\\" * 4
    return is_nested or (len(characters) < 2 * _WINDOW and _is_begun(characters, 0))


def _is_begun(text: str, at: int) -> bool:
    return at < len(text) and _BEGUN.fullmatch(text, at) is not None


def _read(text: str, at: int) -> list[EscapeReading]:
    """Return the readings of one escape at `at`, the likelier first."""
    found = _ESCAPE.match(text, at)
    if found is None:
        return []
    escape = found[0]
    match found.lastgroup:
        case "pair":
            return [EscapeReading(12, _surrogates(int(escape[2:6], 16), int(escape[8:], 16)))]
        case "code":
            return [EscapeReading(len(escape), chr(int(escape.strip("\\uU"), base=16)))]
        case "hex":
            return _bytes(bytes.fromhex(escape.replace("\\x", "")), 4)
        case "octal":
            return _bytes(bytes(int(byte, 8) for byte in escape.split("\\")[1:]), 4)
        case "percent" | "mail":
            return _bytes(bytes.fromhex(escape.replace(escape[0], "")), 3)
        case "braces":
            return _numbered_reading(escape, escape[3:-1], 16)
        case "doubled":
            return [EscapeReading(2, escape[0])]
        case "control":
            return [EscapeReading(2, _CONTROLS[escape[1]])]
        case "itself":
            return [EscapeReading(2, escape[1])]
        case "quote":
            return [EscapeReading(len(escape), escape.split('"')[1] if '"' in escape else "'")]
        case _:
            return _reference(escape)


def _surrogates(high: int, low: int) -> str:
    return chr(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF))


def _bytes(data: bytes, length: int) -> list[EscapeReading]:
    """Return the readings of the first of these bytes, each of which takes `length` characters in the text.

    These are a character in UTF-8, and one in Latin-1, as Python's repr writes characters of a string.
    """
    single = EscapeReading(length, chr(data[0]))
    size = next((size for size, least in ((4, 0xF0), (3, 0xE0), (2, 0xC2)) if data[0] >= least), 1)
    try:
        return [EscapeReading(size * length, data[:size].decode(errors="surrogatepass")), single][: min(size, 2)]
    except UnicodeDecodeError:
        return [single]


def _reference(escape: str) -> list[EscapeReading]:
    """Return the readings of an HTML character reference, named or numeric."""
    if escape[1] != "#":
        characters = html5.get(escape[1:], "")
        return [EscapeReading(len(escape), characters)] if characters else []
    if escape[2] in "xX":
        return _numbered_reading(escape, escape[3:-1], 16)
    return _numbered_reading(escape, escape[2:-1], 10)


def _numbered_reading(escape: str, digits: str, base: int) -> list[EscapeReading]:
    code = int(digits, base)
    return [EscapeReading(len(escape), chr(code))] if code <= sys.maxunicode else []
