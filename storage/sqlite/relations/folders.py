"""What was protected first in the users' folders, whichever task worked there."""

import sqlite3
from collections.abc import Sequence

from storage.sqlite.rows import dumps, loads


def first_protected(db: sqlite3.Connection, path: str) -> Sequence[Sequence[str]]:
    """Return what is recorded for a folder, as JSON arrays; nothing if no task has worked there."""
    row = db.execute("SELECT protected FROM folders WHERE path = ?", (path,)).fetchone()
    return loads(row["protected"]) if row else ()


def record_protected(db: sqlite3.Connection, path: str, found: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Record what was found in a folder, unless another task was first; returns what is recorded."""
    db.execute("INSERT INTO folders (path, protected) VALUES (?, ?) ON CONFLICT DO NOTHING", (path, dumps(found)))
    return first_protected(db, path)
