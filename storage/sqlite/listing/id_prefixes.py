"""Tasks by the beginning of their ids."""

import sqlite3

from storage.records.tasks import Principal
from storage.sqlite.relations.subtasks import known

MOST_NAMED = 20
"""Ids that an ambiguous beginning is told."""

_LAST = "\U0010ffff"


def ids_with_prefix(db: sqlite3.Connection, principal: Principal, start: str, asker: int | None) -> list[str]:
    """The ids that begin so, of tasks of this principal, as far as whoever asks may know of them; at most 20."""
    found = db.execute(
        "SELECT id FROM tasks WHERE id >= ? AND id < ? AND principal = ? ORDER BY id LIMIT ?",
        (start, start + _LAST, principal.id, MOST_NAMED),
    )
    return known(db, principal, [row["id"] for row in found], asker)
