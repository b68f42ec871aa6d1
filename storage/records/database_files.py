"""Records of what is in a database file, as it is found without a store."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Inspection:
    """Facts about a database file."""

    version: int
    """The number of migrations it has seen."""

    identity: str | None
    """Its random id; None for a database older than these ids."""

    size: int
    """Bytes."""

    free: int
    """Unused bytes in it."""

    gives_back: bool
    """Whether its free space can be returned to the disk without rewriting it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a database: the number of its tasks, and the time of its latest event.

    The time is in microseconds since 1970.
    """

    tasks: int
    latest: int | None
