"""The store's knowledge of the time of day, as a frozen record."""

from dataclasses import dataclass

from server.limits import DAY

FAR_AHEAD = 60 * DAY * 1_000_000
"""Microseconds, 60 days: a clock farther past the last trusted time is doubted. Few machines are off for longer."""


DOUBT = DAY * 1_000_000
"""Microseconds, 24 hours: how long servers must run before a doubted clock is trusted.

Someone may set it right meanwhile.
"""


@dataclass(frozen=True, slots=True)
class Clock:
    """The last trusted time, and how long servers have run in doubt since; both in microseconds."""

    latest: int
    doubted_us: int

    def doubts(self, at: int) -> bool:
        """Return whether the time `at` is too far past the last trusted time to be trusted."""
        return at - self.latest > FAR_AHEAD
