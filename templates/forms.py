"""The forms a secret takes when programs print, encode and quote it without meaning to hide it."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote

_WITHOUT_BREAKS = str.maketrans("", "", "\r\n")

# What encoders leave as it is, beside letters, digits and "_.-~": quote(safe=""); quote and Jinja2; form encoding;
# encodeURIComponent; the segments of a path in RFC 3986; encodeURI.
_SAFE = ("", "/", "*", "!'()*", "!$&'()*+,;=:@", "!#$&'()*+,/:;=?@")

# Go's encoder, and whatever is written in Go, keeps JSON harmless inside HTML.
_HTML_SAFE = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


def unbroken(value: str) -> str:
    """Return `value` without its line breaks."""
    return value.translate(_WITHOUT_BREAKS)


def forms(value: str) -> frozenset[str]:
    """Return the forms of `value`, without line breaks: plain, base64, hex, URL-encoded and JSON-escaped.

    Line breaks at the ends of the value are no part of it: a shell drops them when it reads a file.
    """
    core = value.strip("\r\n")
    data = core.encode(errors="surrogatepass")
    encoded = {*_base64(data), *_hexadecimal(data), *_percent(data), *_json(core)}
    return frozenset(unbroken(form) for form in {core, *encoded})


def _base64(data: bytes) -> Iterator[str]:
    """Yield `data` encoded by itself, and what it alone determines after 0, 1 or 2 bytes of something else."""
    for altchars in (b"+/", b"-_"):
        whole = b64encode(data, altchars).decode()
        yield whole
        yield whole.rstrip("=")
        for shift in range(3):
            encoded = b64encode(bytes(shift) + data, altchars).decode()
            first = -(-shift * 8 // 6)  # six bits a character, rounded inwards at both ends
            yield encoded[first : (shift + len(data)) * 8 // 6]


def _hexadecimal(data: bytes) -> Iterator[str]:
    yield data.hex()
    yield data.hex().upper()


def _percent(data: bytes) -> Iterator[str]:
    quoted = {quote(data, safe=safe) for safe in _SAFE}
    quoted |= {form.replace("~", "%7E") for form in quoted}
    quoted |= {form.replace("%20", "+") for form in quoted}
    quoted.add("".join(f"%{byte:02X}" for byte in data))
    yield from quoted
    yield from (re.sub(r"%..", lambda escape: escape[0].lower(), form) for form in quoted)


def _json(core: str) -> Iterator[str]:
    for only_ascii in (True, False):
        escaped = json.dumps(core, ensure_ascii=only_ascii)[1:-1]
        yield from (escaped, escaped.replace("/", "\\/"), escaped.translate(_HTML_SAFE))
