"""Records of how tasks are related."""

from dataclasses import dataclass

from storage.records.states import Status


@dataclass(frozen=True, slots=True)
class RelatedTask:
    """A related task, in short."""

    id: str
    status: Status
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """The dependencies, the dependants and the sub-tasks of one task."""

    depends_on: list[RelatedTask]
    dependents: list[RelatedTask]
    subtasks: list[RelatedTask]


@dataclass(frozen=True, slots=True)
class Node:
    """One task in a list's graph: the first ids on both sides, and the full counts."""

    task: RelatedTask
    depends_on: list[str]
    dependents: list[str]
    dependency_count: int
    dependent_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The dependency graph of a task list: one page of nodes, and as many roots and leaves."""

    task_count: int
    capped: bool
    root_count: int
    leaf_count: int
    roots: list[str]
    leaves: list[str]
    nodes: list[Node]
