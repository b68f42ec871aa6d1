"""How long what belongs to an ended task is kept, as frozen records."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each is kept after the end of its task: microseconds, None for ever."""

    tasks: int | None
    logs: int | None
    workspaces: int | None

    def expires_at(self, ended_at: int | None) -> int | None:
        """Until when a task that ended then is kept at least; None for one that is open, or kept for ever."""
        return None if ended_at is None or self.tasks is None else ended_at + self.tasks


@dataclass(frozen=True, slots=True, order=True)
class Ended:
    """A place among the ended tasks, the first to end first."""

    at: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class RemovedChunk:
    """What one transaction has removed, by id, and the tasks that are still to be looked at."""

    removed: list[str]
    left: list[int]
