"""Formatting of texts and times in answers."""

from datetime import UTC, datetime

from server.characters import visible


def start(text: str, width: int = 64) -> str:
    """Return the beginning of a text, on one line, in at most `width` bytes of UTF-8."""
    line = " ".join(text.split())
    kept = line.encode()[: width - 3].decode(errors="ignore")
    return line if len(line.encode()) <= width else f"{kept}…"


def one_line(text: str, most: int) -> str:
    """Return the beginning of a text, at most `most` characters on one line; invisible characters are escaped."""
    shown = visible(" ".join(text[: most + 1].split()))
    return shown if len(shown) <= most and len(text) <= most else f"{shown[: most - 1]}…"


def time(at: int) -> str:
    """Format a time in microseconds since 1970 as ISO 8601, in UTC with milliseconds."""
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_or_none(at: int | None) -> str | None:
    """Format a time as `time` does; None stays None."""
    return None if at is None else time(at)
