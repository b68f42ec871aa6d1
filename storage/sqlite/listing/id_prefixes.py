"""Lookup of tasks by a prefix of their ids."""

import sqlite3

from storage.errors import MOST_NAMED
from storage.records.tasks import Principal
from storage.sqlite.relations.subtasks import known

_LAST = "\U0010ffff"


def ids_with_prefix(db: sqlite3.Connection, principal: Principal, start: str, asker: int | None) -> list[str]:
    """Return the ids of the principal's tasks with this prefix that the caller may see; at most MOST_NAMED."""
    found = db.execute(
        "SELECT id FROM tasks WHERE id >= ? AND id < ? AND principal = ? ORDER BY id LIMIT ?",
        (start, start + _LAST, principal.id, MOST_NAMED),
    )
    return known(db, principal, [row["id"] for row in found], asker)
