"""The forms of a secret that do not have its own characters, one by one: base64 and hexadecimal digits."""

from base64 import b64encode
from collections.abc import Iterator

_WITHOUT_BREAKS = str.maketrans("", "", "\r\n")


def unbroken(value: str) -> str:
    """Return `value` without its line breaks."""
    return value.translate(_WITHOUT_BREAKS)


def encoded(value: str) -> frozenset[str]:
    """Return the base64 and hexadecimal forms of `value`, the line breaks at the ends of which are no part of it."""
    data = value.strip("\r\n").encode(errors="surrogatepass")
    return frozenset((*_base64(data), *_hexadecimal(data)))


def forms(value: str) -> frozenset[str]:
    """Return all that is looked for of `value`: its own characters, without line breaks, and its encoded forms."""
    return frozenset((unbroken(value), *encoded(value)))


def _base64(data: bytes) -> Iterator[str]:
    """Yield `data` encoded by itself, and what it alone determines after 0, 1 or 2 bytes of something else."""
    for altchars in (b"+/", b"-_"):
        whole = b64encode(data, altchars).decode()
        yield whole
        yield whole.rstrip("=")
        for shift in range(3):
            shifted = b64encode(bytes(shift) + data, altchars).decode()
            first = -(-shift * 8 // 6)  # six bits a character, rounded inwards at both ends
            yield shifted[first : (shift + len(data)) * 8 // 6]


def _hexadecimal(data: bytes) -> Iterator[str]:
    yield data.hex()
    yield data.hex().upper()
