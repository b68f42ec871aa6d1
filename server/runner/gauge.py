"""How much a workspace holds."""

import logging
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

_log = logging.getLogger(__name__)

FIRST_SECONDS = 2.0  # most commands have ended by then, and are never measured
PAUSE_SECONDS = 5.0  # at least, between two measurements
IDLE_SHARE = 20  # a pause is so many times what the measurement took: it costs 5 % of one core at most


class Gauge:
    """Measures a folder now and then, by `du`: a process of its own, since a large tree takes it seconds.

    What the command has closed to its own user is not counted, unless that user is root.
    """

    def __init__(self, folder: Path, limit_bytes: int, now: float) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._due = now + FIRST_SECONDS
        self._begun = now
        self._du: Popen[bytes] | None = None

    def exceeded(self, now: float) -> bool:
        """Whether the latest measurement, where one has just ended, was above the limit. Never waits."""
        if self._du is None:
            if now >= self._due:
                self._begin(now)
            return False
        if self._du.poll() is None:
            return False
        taken, self._du = self._du, None
        self._due = now + max(PAUSE_SECONDS, IDLE_SHARE * (now - self._begun))
        return _bytes(taken) > self._limit_bytes

    def close(self) -> None:
        """End a measurement that is under way."""
        if self._du is not None:
            self._du.kill()
            _bytes(self._du)

    def _begin(self, now: float) -> None:
        self._begun = now
        argv = ("nice", "du", "-s", "--block-size=1", "--", str(self._folder))
        try:
            self._du = Popen(argv, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env={"PATH": "/usr/bin:/bin"}, cwd="/")
        except OSError as error:  # too many processes, or a machine without these programs: the other limits go on
            _log.warning("the size of a workspace cannot be measured: %s", error)
            self._due = now + PAUSE_SECONDS


def _bytes(du: Popen[bytes]) -> int:
    size, _, _ = du.communicate()[0].partition(b"\t")
    return int(size or 0)
