"""The names of secrets whose values may occur in a task's files; the values are not in the store."""

import json
import sqlite3
from collections.abc import Collection

from storage.records.secrets import SecretRecord
from storage.records.tasks import AGENT

# A task and the ancestors whose folder, or a worktree of it, it works in, nearest first: agents can share no other.
_CONCERNED = f"""WITH RECURSIVE concerned (seq, distance) AS (
        SELECT seq, 0 FROM tasks WHERE id = ?
        UNION ALL
        SELECT t.parent, c.distance + 1 FROM concerned c
            JOIN tasks t ON t.seq = c.seq AND t.source = '{AGENT}' AND t.parent IS NOT NULL
            JOIN workspaces w ON w.task = t.seq)"""

# These, and all sub-tasks created by their agents that write there. CROSS JOIN makes SQLite start with these few.
_WITH_WRITERS = f"""{_CONCERNED}, present (seq) AS (
        SELECT seq FROM concerned
        UNION
        SELECT t.seq FROM present p CROSS JOIN tasks t INDEXED BY tasks_by_parent ON t.parent = p.seq
            CROSS JOIN workspaces w ON w.task = t.seq
            WHERE t.source = '{AGENT}' AND w.mode = 'readwrite'),
    everyone (seq, distance) AS (SELECT p.seq, c.distance FROM present p LEFT JOIN concerned c ON c.seq = p.seq)"""


def of_all_turns(db: sqlite3.Connection, task_id: str) -> list[SecretRecord]:
    """Return the secrets of a task's turns, latest first; then those of tasks that share their folder with it.

    Last come those of all other tasks that were created to write there, or in the task's own folder, removed ones
    included.
    """
    found = db.execute(
        f"""{_WITH_WRITERS}, had AS (
                SELECT e.distance, s.*, 0 AS given_up FROM everyone e CROSS JOIN secret_names s ON s.task = e.seq
                UNION ALL
                SELECT e.distance, g.task, g.turn, g.name, 'literal', 1
                    FROM everyone e CROSS JOIN given_up_secrets g ON g.task = e.seq)
            SELECT * FROM (SELECT t.id, h.turn, h.name, h.source, h.given_up, h.distance, h.task,
                iif(h.turn = t.turn, NULL, n.ended_at) AS until
            FROM had h CROSS JOIN tasks t ON t.seq = h.task JOIN turns n ON n.task = h.task AND n.number = h.turn
            UNION ALL
            SELECT r.writer, r.turn, r.name, r.source, r.given_up, NULL, r.task, r.until
            FROM everyone e CROSS JOIN remaining_secrets r ON r.task = e.seq)
            ORDER BY distance IS NULL, distance, task, turn DESC, name""",
        (task_id,),
    )
    return [
        SecretRecord(
            task_id=row["id"],
            turn=row["turn"],
            name=row["name"],
            source=row["source"],
            until=row["until"],
            given_up=bool(row["given_up"]),
            is_shared=bool(row["distance"]),
        )
        for row in found
    ]


def give_up(db: sqlite3.Connection, task: sqlite3.Row, names: Collection[str]) -> None:
    """Remove these secrets from a task's turn.

    Those of a turn that has begun are kept, as their values may be in its files.
    """
    these = "FROM secret_names WHERE task = ? AND turn = ? AND name IN (SELECT value FROM json_each(?))"
    values = task["seq"], task["turn"], json.dumps(list(names))
    if task["started_at"] is not None:
        db.execute(f"INSERT INTO given_up_secrets SELECT task, turn, name {these}", values)
    db.execute(f"DELETE {these}", values)


def keep_after_removal(db: sqlite3.Connection, task: sqlite3.Row) -> None:
    """Keep the secrets of a task about to be removed, for the tasks in whose folders their values may stand.

    These are its creator, if it writes in that one's folder, and those that it created to work in its own.
    """
    db.execute(
        f"""INSERT OR IGNORE INTO remaining_secrets
            SELECT heir.seq, had.writer, had.turn, had.name, had.source, had.until, had.given_up
            FROM (SELECT :id AS writer, s.turn, s.name, s.source, n.ended_at AS until, 0 AS given_up
                    FROM secret_names s JOIN turns n ON n.task = s.task AND n.number = s.turn WHERE s.task = :seq
                UNION ALL
                SELECT :id, g.turn, g.name, 'literal', n.ended_at, 1
                    FROM given_up_secrets g JOIN turns n ON n.task = g.task AND n.number = g.turn WHERE g.task = :seq
                UNION ALL
                SELECT writer, turn, name, source, until, given_up FROM remaining_secrets WHERE task = :seq) had,
                (SELECT t.parent AS seq FROM tasks t JOIN workspaces w ON w.task = t.seq
                    WHERE t.seq = :seq AND t.source = '{AGENT}' AND w.mode = 'readwrite' AND t.parent IS NOT NULL
                UNION
                SELECT t.seq FROM tasks t INDEXED BY tasks_by_parent JOIN workspaces w ON w.task = t.seq
                    WHERE t.parent = :seq AND t.source = '{AGENT}') heir""",
        {"id": task["id"], "seq": task["seq"]},
    )


def shared_from(db: sqlite3.Connection, task_id: str) -> list[str]:
    """Return the ids of the tasks that share their folder with this one, the nearest ancestor first."""
    found = db.execute(
        f"""{_CONCERNED} SELECT t.id FROM concerned c JOIN tasks t ON t.seq = c.seq
            WHERE c.distance > 0 ORDER BY c.distance""",
        (task_id,),
    )
    return [row["id"] for row in found]
