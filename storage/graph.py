"""How tasks hang together: the graph of a list, and the surroundings of one task."""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from storage.kinship import Graph, Neighbour, Neighbours, Node
from storage.records import Principal
from storage.states import Status
from storage.walks import ActivityWalk, Wanted, spans

MOST_TASKS = 20_000
"""Tasks of a list that are looked at; what a larger one holds is not shown whole."""

MOST_NEIGHBOURS = 50

_SUMMARY = "t.seq, t.id, t.status, substr(coalesce(t.title, t.message), 1, 200) AS title"


def graph(db: sqlite3.Connection, principal: Principal, task_list: str, limit: int, offset: int) -> Graph:
    """The tasks of a list with what they depend on; the page of nodes goes by creation, oldest first."""
    along = ["principal = :principal", "task_list = :task_list"]
    values = {"principal": principal.id, "task_list": task_list}
    walk = ActivityWalk(list(spans("task_list", along)), Wanted(), values)
    members = sorted(position.seq for position in walk.look(db, MOST_TASKS, None).found)
    needs, needed_by = _edges(db, members)
    inside = set(members)
    page = members[offset : offset + limit]
    shown = {*page, *(other for seq in page for other in (*needs[seq], *needed_by[seq]))}
    roots = [seq for seq in members if not inside.intersection(needs[seq])]
    leaves = [seq for seq in members if not inside.intersection(needed_by[seq])]
    ends = {*roots[:limit], *leaves[:limit]}
    known = _summaries(db, shown | ends)
    return Graph(
        task_count=len(members),
        capped=len(members) == MOST_TASKS,
        root_count=len(roots),
        leaf_count=len(leaves),
        roots=[known[seq].id for seq in roots[:limit]],
        leaves=[known[seq].id for seq in leaves[:limit]],
        nodes=[
            Node(known[seq], [known[other].id for other in needs[seq]], [known[other].id for other in needed_by[seq]])
            for seq in page
        ],
    )


def neighbours(db: sqlite3.Connection, seq: int) -> Neighbours:
    """What a task depends on, what depends on it, and its sub-tasks; the first fifty of each."""
    return Neighbours(
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


def _edges(db: sqlite3.Connection, members: Sequence[int]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    needs: dict[int, list[int]] = defaultdict(list)
    needed_by: dict[int, list[int]] = defaultdict(list)
    for seq in members:
        needs[seq] = [row["needs"] for row in db.execute("SELECT needs FROM dependencies WHERE task = ?", (seq,))]
        needed_by[seq] = [row["task"] for row in db.execute("SELECT task FROM dependencies WHERE needs = ?", (seq,))]
    return needs, needed_by


def _summaries(db: sqlite3.Connection, seqs: set[int]) -> dict[int, Neighbour]:
    statement = f"SELECT {_SUMMARY} FROM tasks t WHERE t.seq = ?"
    return {seq: _neighbour(db.execute(statement, (seq,)).fetchone()) for seq in seqs}


def _some(db: sqlite3.Connection, statement: str, seq: int) -> list[Neighbour]:
    return [_neighbour(row) for row in db.execute(f"{statement} LIMIT ?", (seq, MOST_NEIGHBOURS))]


def _neighbour(row: sqlite3.Row) -> Neighbour:
    return Neighbour(row["id"], Status(row["status"]), row["title"])
