"""A place at work: how long its run may still work, and whether others may have it meanwhile."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from storage.records import Claim


class Place:
    """Where one run works. While it waits for a decision its clock stands still, and the place is free for others.

    `scope` ends the run; `freed` is called when the place is.
    """

    def __init__(self, claim: Claim, freed: Callable[[], None], *, hands_on: bool) -> None:
        self.claim = claim
        self.hands_on = hands_on
        """Whether its agent may hand on sub-tasks."""

        self.scope = anyio.CancelScope()
        self._freed = freed
        self._limit = anyio.CancelScope()
        self._worked = 0.0
        self._since = time.monotonic()
        self._remaining = 0.0
        self._waiting = 0

    @property
    def is_free(self) -> bool:
        """Whether the run waits."""
        return self._waiting > 0

    @property
    def ran_us(self) -> int:
        """Microseconds of work so far."""
        return int((self._worked + (0 if self.is_free else time.monotonic() - self._since)) * 1_000_000)

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Let the block work so long. Raises TimeoutError when it has; waits do not count."""
        with anyio.fail_after(max(seconds, 0)) as self._limit:
            yield

    @contextmanager
    def left(self) -> Iterator[None]:
        """Leave the place while the block waits; several may wait at once."""
        if not self._waiting:
            self._worked += time.monotonic() - self._since
            self._remaining = self._limit.deadline - anyio.current_time()
            self._limit.deadline = math.inf
        self._waiting += 1
        self._freed()
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._since = time.monotonic()
                self._limit.deadline = anyio.current_time() + self._remaining
