"""Times as they are kept."""

import time


def now() -> int:
    """The time as the store keeps it: microseconds since the epoch, UTC."""
    return time.time_ns() // 1000
