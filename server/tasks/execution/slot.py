"""A concurrency slot with a time budget; released while its run waits for approval."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from storage.records.tasks import Claim


class Slot:
    """The slot of one run. Its clock stops while it waits; where that may take long, others get the slot.

    `freed` is called when the slot is.
    """

    def __init__(self, claim: Claim, freed: Callable[[], None], *, hands_on: bool) -> None:
        self.claim = claim
        self.hands_on = hands_on
        """Whether its agent may hand on sub-tasks."""

        self.scope = anyio.CancelScope()
        """Ends the run."""

        self.ending = anyio.Event()
        """Set when the run is to end: from then on nobody waits for anything in it."""

        self.ended = anyio.Event()
        """Set when nothing of the run is at work any more."""

        self.before_end: list[anyio.Event] = []
        """What is to be done before the end of the run is written."""

        self._freed = freed
        self._limit = anyio.CancelScope()
        self._worked = 0.0
        self._since = time.monotonic()
        self._remaining = 0.0
        self._away = 0
        self._still = 0

    @property
    def is_free(self) -> bool:
        """Whether others may have the slot."""
        return self._away > 0

    @property
    def ran_us(self) -> int:
        """Microseconds of work so far."""
        return int((self._worked + (0 if self._still else time.monotonic() - self._since)) * 1_000_000)

    def stop(self) -> None:
        """End the run."""
        self.ending.set()
        self.scope.cancel()

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Let the block work so long. Raises TimeoutError when it has; waits do not count."""
        with anyio.fail_after(max(seconds, 0)) as self._limit:
            yield

    @contextmanager
    def released(self) -> Iterator[None]:
        """Leave the slot to others while the block waits for a person; several may wait at once."""
        self._away += 1
        try:
            with self.clock_stopped():
                self._freed()
                yield
        finally:
            self._away -= 1

    @contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """Stop the clock while the block waits for what the run is not to blame for; several may wait at once."""
        if not self._still:
            self._worked += time.monotonic() - self._since
            self._remaining = self._limit.deadline - anyio.current_time()
            self._limit.deadline = math.inf
        self._still += 1
        try:
            yield
        finally:
            self._still -= 1
            if not self._still:
                self._since = time.monotonic()
                self._limit.deadline = anyio.current_time() + self._remaining
