"""Records of the names of secrets that tasks had."""

from dataclasses import dataclass

from storage.records.tasks import SecretSource


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """The name of a secret that a task had in one of its turns."""

    task_id: str
    turn: int
    name: str
    source: SecretSource
    until: int | None
    """When the turn ended; None for the task's latest turn."""

    given_up: bool
    """Whether the turn continued without the secret after its value was lost."""

    is_shared: bool
    """Whether it belongs to another task, which shares its folder with the one asked about."""
