"""How tasks hang together, as frozen records."""

from dataclasses import dataclass

from storage.records.states import Status


@dataclass(frozen=True, slots=True)
class RelatedTask:
    """A task as another one's surroundings show it."""

    id: str
    status: Status
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """What a task depends on, what depends on it, and its sub-tasks."""

    depends_on: list[RelatedTask]
    dependents: list[RelatedTask]
    subtasks: list[RelatedTask]


@dataclass(frozen=True, slots=True)
class Node:
    """One task of a list's graph, with the ids of the first on both sides, and how many there are."""

    task: RelatedTask
    depends_on: list[str]
    dependents: list[str]
    dependency_count: int
    dependent_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """How the tasks of a list depend on each other: a page of nodes, and as many roots and leaves."""

    task_count: int
    capped: bool
    root_count: int
    leaf_count: int
    roots: list[str]
    leaves: list[str]
    nodes: list[Node]
