"""How tasks hang together: the graph of a list, and the surroundings of one task."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from storage.records.graphs import Graph, Node, Related, RelatedTask
from storage.records.states import Status
from storage.records.tasks import Principal
from storage.sqlite.listing.scans import ActivityScan, ResidualFilter, activity_buckets

MOST_TASKS = 20_000
"""Tasks of a list that are looked at; what a larger one holds is not shown whole."""

MOST_NEIGHBOURS = 50

MOST_RELATIVES = 50
"""Ids on each side of a node; what there are more of is counted."""

_SUMMARY = "t.seq, t.id, t.status, substr(coalesce(t.title, t.message), 1, 200) AS title"


def graph(db: sqlite3.Connection, principal: Principal, task_list: str, limit: int, offset: int) -> Graph:
    """The tasks of a list with what they depend on; the page of nodes goes by creation, oldest first."""
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
    """What a task depends on, what depends on it, and its sub-tasks; the first fifty of each."""
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
    """The first of the tasks on one side of another, and how many there are."""

    ids: list[str] = field(default_factory=list)
    count: int = 0


def _relatives(db: sqlite3.Connection, page: Sequence[int], of: str, to: str) -> dict[int, _Relatives]:
    """For each task of the page those that dependencies lead to, from the column `of` to the column `to`."""
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
    """The tasks of a list from which no dependency leads to another of it.

    The plus keeps SQLite from looking for each pair of them in an index, instead of for each dependency in their set.
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
