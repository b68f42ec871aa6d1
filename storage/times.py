"""The store's clock."""

import time


def now() -> int:
    """Return the current time as the store keeps it: microseconds since the epoch, UTC."""
    return time.time_ns() // 1000
