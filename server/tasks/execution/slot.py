"""A concurrency slot with a time budget; released while its run waits for approval."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from storage.records.tasks import Claim


class Slot:
    """The slot of one run. Its clock stops while the run waits; while it waits for a person, the slot is released.

    `freed` is called when the slot is released.
    """

    def __init__(self, claim: Claim, freed: Callable[[], None], *, hands_on: bool) -> None:
        self.claim = claim
        self.hands_on = hands_on
        """Whether the run's agent may create sub-tasks."""

        self.scope = anyio.CancelScope()
        """The scope of the run; cancelling it ends the run."""

        self.ending = anyio.Event()
        """Set when the run is to end; nothing in it may wait from then on."""

        self.ended = anyio.Event()
        """Set when the run's work and processes have ended."""

        self.before_end: list[anyio.Event] = []
        """Events to wait for before the run's end is written."""

        self._freed = freed
        self._waits: list[str] = []
        self._limit = anyio.CancelScope()
        self._worked = 0.0
        self._since = time.monotonic()
        self._remaining = 0.0
        self._away = 0
        self._still = 0

    @property
    def is_free(self) -> bool:
        """Whether the slot is released to other runs."""
        return self._away > 0

    @property
    def ran_us(self) -> int:
        """Microseconds of work so far."""
        return int((self._worked + (0 if self._still else time.monotonic() - self._since)) * 1_000_000)

    def stop(self) -> None:
        """End the run."""
        self.ending.set()
        self.scope.cancel()

    @property
    def waits_for(self) -> str | None:
        """What the run waits for that cannot be written to its task's log now, in words; None if for nothing."""
        return self._waits[-1] if self._waits else None

    @contextmanager
    def waiting_for(self, what: str) -> Iterator[None]:
        """Tell, while the block runs, what the run waits for. May be entered several times at once."""
        self._waits.append(what)
        try:
            yield
        finally:
            self._waits.remove(what)

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Limit the block's work to so many seconds; stopped time is free. Raises TimeoutError."""
        with anyio.fail_after(max(seconds, 0)) as self._limit:
            yield

    @contextmanager
    def released(self) -> Iterator[None]:
        """Release the slot while the block waits for a person. May be entered several times at once."""
        self._away += 1
        try:
            with self.clock_stopped():
                self._freed()
                yield
        finally:
            self._away -= 1

    @contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """Stop the clock while the block waits for something outside the run. May be entered several times at once."""
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
