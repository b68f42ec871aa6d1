"""Which tasks are looked for, and where in a list one stands."""

from dataclasses import dataclass

from storage.records.states import Status
from storage.records.tasks import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What tasks have to be; everything that is given has to hold. Times are microseconds, both ends included."""

    statuses: frozenset[Status] = frozenset()
    agent: str | None = None
    task_list: str | None = None
    assigned_agent: str | None = None
    triggering_agent: str | None = None
    internal_status: str | None = None
    parent: str | None = None
    created_from: int | None = None
    created_to: int | None = None
    words: tuple[str, ...] = ()
    depends_on: str | None = None
    asker: int | None = None
    """The number of the task whose agent asks, if one does: it knows of no others than those beneath it."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a task stands in a list: those with a greater one come before it.

    Lists go by activity; those of a search by creation, and have 0 here in place of it.
    """

    at: int
    seq: int


@dataclass(frozen=True, slots=True)
class Total:
    """How many tasks there are in a list."""

    count: int
    is_capped: bool
    """Whether there may be more than `count`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some tasks of a list, in its order."""

    tasks: list[Row]
    total: int
    total_is_capped: bool
    """Whether there may be more than `total`."""

    next: Position | None
    """Where to go on; None at the end."""

    partial: bool
    """Whether so many tasks had to be looked at that the page ends before it is full."""

    waiting: dict[int, int]
    """How many calls wait for approval, by `seq`."""

    blocked_by: dict[int, list[str]]
    """What blocked tasks wait for, the first few, by `seq`."""


NOTHING = Page(tasks=[], total=0, total_is_capped=False, next=None, partial=False, waiting={}, blocked_by={})
"""A list without tasks."""
