"""Sessions of tasks, for which standing approvals count: their ids, and when they end."""

from secrets import token_urlsafe

from server.config import Settings
from storage.times import now


def session_end(settings: Settings) -> int:
    """Return when a session that begins, or goes on, now ends, in microseconds since the epoch."""
    return now() + settings.session_expires * 1_000_000


def time_ordered_id(at: int) -> str:
    """Return a unique id that starts with the time `at` (microseconds since the epoch) and has 128 random bits.

    The leading milliseconds keep new ids adjacent in every index, so that inserting one costs the same among a million.
    34 characters. Task ids are plain UUIDs instead, because people tell tasks apart by the first characters.
    """
    return f"{at // 1000:012x}{token_urlsafe(16)}"
