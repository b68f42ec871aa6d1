"""Graphs: the dependencies of a task list, and the tasks related to one task."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from storage.records.graphs import Graph, Node, Related, RelatedTask
from storage.records.states import Status
from storage.records.tasks import Principal
from storage.sqlite.listing.scans import ActivityScan, ResidualFilter, activity_buckets
from storage.sqlite.rows import LONGEST_TEXT

MOST_TASKS = 20_000
"""Tasks of a list that are read; the graph of a larger list is incomplete (`Graph.capped`)."""

MOST_NEIGHBOURS = 50
"""Tasks of each kind related to one task that are returned."""

MOST_RELATIVES = 50
"""Ids on each side of a node; any more are only counted."""

_SUMMARY = f"t.seq, t.id, t.status, substr(coalesce(t.title, t.message), 1, {LONGEST_TEXT}) AS title"


def graph(db: sqlite3.Connection, principal: Principal, task_list: str, limit: int, offset: int) -> Graph:
    """Return the tasks of a list with their dependencies; the page of nodes is in order of creation, oldest first."""
    along = ["principal = :principal", "task_list = :task_list"]
    values = {"principal": principal.id, "task_list": task_list}
    walk = ActivityScan(list(activity_buckets("task_list", along)), ResidualFilter(), values)
    members = sorted(position.seq for position in walk.fetch(db, MOST_TASKS, None).found)
    page = members[offset : offset + limit]
    needs, needed_by = _relatives(db, page, "task", "needs"), _relatives(db, page, "needs", "task")
    roots, leaves = _ends(db, members, "task", "needs"), _ends(db, members, "needs", "task")
    known = _summaries(db, {*page, *roots[:limit], *leaves[:limit]})
    return Graph(
        task_count=len(members),
        capped=len(members) == MOST_TASKS,
        root_count=len(roots),
        leaf_count=len(leaves),
        roots=[known[seq].id for seq in roots[:limit]],
        leaves=[known[seq].id for seq in leaves[:limit]],
        nodes=[
            Node(known[seq], needs[seq].ids, needed_by[seq].ids, needs[seq].count, needed_by[seq].count) for seq in page
        ],
    )


def related(db: sqlite3.Connection, seq: int) -> Related:
    """Return the dependencies, dependants and sub-tasks of a task, at most MOST_NEIGHBOURS of each."""
    return Related(
        depends_on=_some(
            db, f"SELECT {_SUMMARY} FROM dependencies d JOIN tasks t ON t.seq = d.needs WHERE d.task = ?", seq
        ),
        dependents=_some(
            db, f"SELECT {_SUMMARY} FROM dependencies d JOIN tasks t ON t.seq = d.task WHERE d.needs = ?", seq
        ),
        subtasks=_some(
            db,
            f"""SELECT {_SUMMARY} FROM tasks t INDEXED BY tasks_by_parent WHERE t.parent = ?
                ORDER BY t.last_activity_at DESC, t.seq DESC""",
            seq,
        ),
    )


@dataclass(slots=True)
class _Relatives:
    """The first ids on one side of a node, and their full count."""

    ids: list[str] = field(default_factory=list)
    count: int = 0


def _relatives(db: sqlite3.Connection, page: Sequence[int], of: str, to: str) -> dict[int, _Relatives]:
    """Return for each task of the page those that its dependencies lead to, from column `of` to column `to`."""
    found = db.execute(
        f"""WITH related AS (
                SELECT d.{of} AS seq, d.{to} AS other, count(*) OVER (PARTITION BY d.{of}) AS n,
                    row_number() OVER (PARTITION BY d.{of} ORDER BY d.{to}) AS place
                FROM json_each(?) CROSS JOIN dependencies d ON d.{of} = value)
            SELECT r.seq, t.id, r.n FROM related r CROSS JOIN tasks t ON t.seq = r.other
            WHERE r.place <= ? ORDER BY r.seq, r.place""",
        (json.dumps(page), MOST_RELATIVES),
    )
    relatives = {seq: _Relatives() for seq in page}
    for row in found:
        relatives[row["seq"]].ids.append(row["id"])
        relatives[row["seq"]].count = row["n"]
    return relatives


def _ends(db: sqlite3.Connection, members: Sequence[int], of: str, to: str) -> list[int]:
    """Return the tasks of a list that no dependency, from `of` to `to`, connects to another task of the list.

    The unary plus keeps SQLite from looking up each pair in an index, instead of each dependency in the set.
    """
    found = db.execute(
        f"""SELECT value AS seq FROM json_each(?1) WHERE NOT EXISTS (SELECT 1 FROM dependencies d
                WHERE d.{of} = value AND +d.{to} IN (SELECT value FROM json_each(?1)))""",
        (json.dumps(members),),
    )
    return [row["seq"] for row in found]


def _summaries(db: sqlite3.Connection, seqs: Collection[int]) -> dict[int, RelatedTask]:
    found = db.execute(
        f"SELECT {_SUMMARY} FROM json_each(?) CROSS JOIN tasks t ON t.seq = value", (json.dumps(list(seqs)),)
    )
    return {row["seq"]: _neighbour(row) for row in found}


def _some(db: sqlite3.Connection, statement: str, seq: int) -> list[RelatedTask]:
    return [_neighbour(row) for row in db.execute(f"{statement} LIMIT ?", (seq, MOST_NEIGHBOURS))]


def _neighbour(row: sqlite3.Row) -> RelatedTask:
    return RelatedTask(row["id"], Status(row["status"]), row["title"])
