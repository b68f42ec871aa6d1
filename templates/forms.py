"""The encoded forms of a secret: base64 and hexadecimal."""

from base64 import b64encode
from collections.abc import Iterator

_WITHOUT_BREAKS = str.maketrans("", "", "\r\n")


def unbroken(value: str) -> str:
    """Return `value` without its line breaks."""
    return value.translate(_WITHOUT_BREAKS)


def encoded(value: str) -> frozenset[str]:
    """Return the base64 and hexadecimal forms of `value` without the line breaks at its ends."""
    data = value.strip("\r\n").encode(errors="surrogatepass")
    return frozenset((*_base64(data), *_hexadecimal(data)))


def forms(value: str) -> frozenset[str]:
    """Return every form of `value` to search for: itself without line breaks, and its encoded forms."""
    return frozenset((unbroken(value), *encoded(value)))


def _base64(data: bytes) -> Iterator[str]:
    """Yield `data` in base64, and the characters that depend on `data` alone after 0, 1 or 2 other bytes."""
    for altchars in (b"+/", b"-_"):
        whole = b64encode(data, altchars).decode()
        yield whole
        yield whole.rstrip("=")
        for shift in range(3):
            shifted = b64encode(bytes(shift) + data, altchars).decode()
            first = -(-shift * 8 // 6)  # 6 bits a character, rounded inwards at both ends
            yield shifted[first : (shift + len(data)) * 8 // 6]


def _hexadecimal(data: bytes) -> Iterator[str]:
    yield data.hex()
    yield data.hex().upper()
