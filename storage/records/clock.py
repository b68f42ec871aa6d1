"""What is known of the time of day, as a frozen record."""

from dataclasses import dataclass

FAR_AHEAD = 60 * 24 * 3600 * 1_000_000
"""Past the time seen last by more than this, 60 days, it is doubted: few are away for so long."""


DOUBT = 24 * 3600 * 1_000_000
"""For how long servers run before it is believed all the same: 24 hours, in which somebody may set it right."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time that was believed last, and for how long servers have run since in doubt."""

    latest: int
    doubted_us: int

    def doubts(self, at: int) -> bool:
        """Whether the time `at` is too far past the one seen last to be believed."""
        return at - self.latest > FAR_AHEAD
