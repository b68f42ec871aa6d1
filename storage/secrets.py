"""The secrets that count for a task, by name: their values are nowhere in the store."""

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from storage.records import SecretSource
from storage.subtasks import AGENT

# A task, and the makers whose folder it works in, or on a worktree of, the nearest first: agents can lend no other.
_CONCERNED = f"""WITH RECURSIVE concerned (seq, distance) AS (
        SELECT seq, 0 FROM tasks WHERE id = ?
        UNION ALL
        SELECT t.parent, c.distance + 1 FROM concerned c
            JOIN tasks t ON t.seq = c.seq AND t.source = '{AGENT}' AND t.parent IS NOT NULL
            JOIN workspaces w ON w.task = t.seq)"""

# Those, and all that agents beneath them have made to write there. CROSS JOIN has SQLite begin with these few.
_WITH_WRITERS = f"""{_CONCERNED}, present (seq) AS (
        SELECT seq FROM concerned
        UNION
        SELECT t.seq FROM present p CROSS JOIN tasks t INDEXED BY tasks_by_parent ON t.parent = p.seq
            CROSS JOIN workspaces w ON w.task = t.seq
            WHERE t.source = '{AGENT}' AND w.mode = 'readwrite'),
    everyone (seq, distance) AS (SELECT p.seq, c.distance FROM present p LEFT JOIN concerned c ON c.seq = p.seq)"""


@dataclass(frozen=True, slots=True)
class Had:
    """A secret that a task had in one of its turns."""

    task_id: str
    turn: int
    name: str
    source: SecretSource
    until: int | None
    """When the turn ended; None for the latest of its task."""

    given_up: bool
    """Whether the turn went on without it, once its value was lost."""

    is_lenders: bool
    """Whether the task was another's, and lends its folder to the one that was asked about."""


def ever(db: sqlite3.Connection, task_id: str) -> list[Had]:
    """The secrets of all turns of a task, the latest turn first; then those of the tasks that lend it their folder.

    Last come those of all others that were made to write there, or in the task's own folder.
    """
    found = db.execute(
        f"""{_WITH_WRITERS}, had AS (
                SELECT e.distance, s.*, 0 AS given_up FROM everyone e CROSS JOIN secret_names s ON s.task = e.seq
                UNION ALL
                SELECT e.distance, g.task, g.turn, g.name, 'literal', 1
                    FROM everyone e CROSS JOIN given_up_secrets g ON g.task = e.seq)
            SELECT t.id, h.turn, h.name, h.source, h.given_up, ifnull(h.distance, 0) > 0 AS is_lenders,
                iif(h.turn = t.turn, NULL, n.ended_at) AS until
            FROM had h CROSS JOIN tasks t ON t.seq = h.task JOIN turns n ON n.task = h.task AND n.number = h.turn
            ORDER BY h.distance IS NULL, h.distance, h.task, h.turn DESC, h.name""",
        (task_id,),
    )
    return [
        Had(
            task_id=row["id"],
            turn=row["turn"],
            name=row["name"],
            source=row["source"],
            until=row["until"],
            given_up=bool(row["given_up"]),
            is_lenders=bool(row["is_lenders"]),
        )
        for row in found
    ]


def give_up(db: sqlite3.Connection, task: sqlite3.Row, names: Collection[str]) -> None:
    """Have the turn of a task go on without these; if it has begun, it may have left their values somewhere."""
    these = "FROM secret_names WHERE task = ? AND turn = ? AND name IN (SELECT value FROM json_each(?))"
    values = task["seq"], task["turn"], json.dumps(list(names))
    if task["started_at"] is not None:
        db.execute(f"INSERT INTO given_up_secrets SELECT task, turn, name {these}", values)
    db.execute(f"DELETE {these}", values)


def lenders(db: sqlite3.Connection, task_id: str) -> list[str]:
    """The tasks that lend this one their folder, the nearest first: its parent, who lent it to that, and so on."""
    found = db.execute(
        f"""{_CONCERNED} SELECT t.id FROM concerned c JOIN tasks t ON t.seq = c.seq
            WHERE c.distance > 0 ORDER BY c.distance""",
        (task_id,),
    )
    return [row["id"] for row in found]
