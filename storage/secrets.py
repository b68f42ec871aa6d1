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


def ever(db: sqlite3.Connection, task_id: str) -> list[Had]:
    """The secrets of all turns of a task, the latest turn first; then those of the tasks that lend it their folder."""
    found = db.execute(
        f"""{_CONCERNED}, had AS (
                SELECT c.distance, s.*, 0 AS given_up FROM concerned c JOIN secret_names s ON s.task = c.seq
                UNION ALL
                SELECT c.distance, g.task, g.turn, g.name, 'literal', 1
                    FROM concerned c JOIN given_up_secrets g ON g.task = c.seq)
            SELECT t.id, h.turn, h.name, h.source, h.given_up, iif(h.turn = t.turn, NULL, n.ended_at) AS until
            FROM had h JOIN tasks t ON t.seq = h.task JOIN turns n ON n.task = h.task AND n.number = h.turn
            ORDER BY h.distance, h.turn DESC, h.name""",
        (task_id,),
    )
    return [
        Had(row["id"], row["turn"], row["name"], row["source"], row["until"], bool(row["given_up"])) for row in found
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
