"""Filters, positions and pages of task lists."""

from dataclasses import dataclass

from storage.records.states import Status
from storage.records.tasks import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Conditions on tasks; all that are set must hold. Times are microseconds since the epoch, bounds included."""

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
    """The number of the task whose agent asks, if an agent asks: it sees only the tasks beneath its own."""


EQUAL = ("agent", "task_list", "assigned_agent", "triggering_agent", "internal_status")
"""The fields of a filter that are columns of tasks by the same name, and have to have one value."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The position of a task in a list; tasks with greater positions come first.

    Lists are ordered by activity (`at`). Search results are ordered by creation, and their `at` is 0.
    """

    at: int
    seq: int


@dataclass(frozen=True, slots=True)
class Total:
    """The number of tasks in a list."""

    count: int
    is_capped: bool
    """Whether there may be more than `count`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a task list, in list order."""

    tasks: list[Row]
    total: int
    total_is_capped: bool
    """Whether there may be more than `total`."""

    next: Position | None
    """The position to continue after; None at the end."""

    partial: bool
    """Whether the scan stopped at its limit, so that the page is not full although there may be more tasks."""

    waiting: dict[int, int]
    """The number of calls that wait for approval, by task `seq`."""

    blocked_by: dict[int, list[str]]
    """The first few tasks that a blocked task waits for, by its `seq`."""


NOTHING = Page(tasks=[], total=0, total_is_capped=False, next=None, partial=False, waiting={}, blocked_by={})
"""A list without tasks."""
