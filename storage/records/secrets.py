"""Names of secrets that a task had, as frozen records."""

from dataclasses import dataclass

from storage.records.tasks import SecretSource


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A secret that a task had in one of its turns."""

    task_id: str
    turn: int
    name: str
    source: SecretSource
    until: int | None
    """When the turn ended; None for the latest of its task."""

    given_up: bool
    """Whether the turn went on without it, once its value was lost."""

    is_shared: bool
    """Whether the task was another's, and shares its folder with the one that was asked about."""
