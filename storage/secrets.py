"""The secrets that count for a task, by name: their values are nowhere in the store."""

import sqlite3
from dataclasses import dataclass

from storage.records import SecretSource
from storage.subtasks import AGENT

# A task, and the makers whose folder it works in, or whose commits its worktree begins with: the nearest first.
_CONCERNED = f"""WITH RECURSIVE concerned (seq, distance) AS (
        SELECT seq, 0 FROM tasks WHERE id = ?
        UNION ALL
        SELECT t.parent, c.distance + 1 FROM concerned c
            JOIN tasks t ON t.seq = c.seq AND t.source = '{AGENT}' AND t.parent IS NOT NULL
            JOIN workspaces w ON w.task = t.seq
        WHERE w.owner = 'task'
            OR w.mode = 'worktree' AND (SELECT mode FROM workspaces WHERE task = t.parent) = 'worktree')"""


@dataclass(frozen=True, slots=True)
class Had:
    """A secret that a task had in one of its turns."""

    task_id: str
    turn: int
    name: str
    source: SecretSource
    until: int | None
    """When the turn ended; None for the latest of its task."""


def ever(db: sqlite3.Connection, task_id: str) -> list[Had]:
    """The secrets of all turns of a task, the latest turn first; then those of the tasks that lend it their folder."""
    found = db.execute(
        f"""{_CONCERNED}
            SELECT t.id, s.turn, s.name, s.source, iif(s.turn = t.turn, NULL, n.ended_at) AS until
            FROM concerned c JOIN tasks t ON t.seq = c.seq JOIN secret_names s ON s.task = t.seq
                JOIN turns n ON n.task = s.task AND n.number = s.turn
            ORDER BY c.distance, s.turn DESC, s.name""",
        (task_id,),
    )
    return [Had(row["id"], row["turn"], row["name"], row["source"], row["until"]) for row in found]


def lenders(db: sqlite3.Connection, task_id: str) -> list[str]:
    """The tasks that lend this one their folder, the nearest first: its parent, who lent it to that, and so on."""
    found = db.execute(
        f"""{_CONCERNED} SELECT t.id FROM concerned c JOIN tasks t ON t.seq = c.seq
            WHERE c.distance > 0 ORDER BY c.distance""",
        (task_id,),
    )
    return [row["id"] for row in found]
