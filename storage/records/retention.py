"""Records of how long data of ended tasks is kept."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """Retention periods after the end of a task: microseconds, None for ever."""

    tasks: int | None
    logs: int | None
    workspaces: int | None

    def expires_at(self, ended_at: int | None) -> int | None:
        """Return the earliest time at which a task may be removed; None if it is open, or kept for ever."""
        return None if ended_at is None or self.tasks is None else ended_at + self.tasks


@dataclass(frozen=True, slots=True, order=True)
class Ended:
    """A position in the list of ended tasks, ordered by the time of their end."""

    at: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class RemovedChunk:
    """The ids that one transaction removed, and the numbers of the tasks still to be looked at."""

    removed: list[str]
    left: list[int]
