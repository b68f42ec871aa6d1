"""A connection that records what its transaction changes, for those who wait for it."""

import sqlite3
from typing import Any

from storage.changes import TransactionChanges


class RecordingConnection(sqlite3.Connection):
    """An SQLite connection with the changes of the transaction under way."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.changes = TransactionChanges()


def changes_of(db: sqlite3.Connection) -> TransactionChanges:
    """Where a change made on this connection is noted."""
    assert isinstance(db, RecordingConnection)
    return db.changes


def drain_changes(db: sqlite3.Connection) -> TransactionChanges:
    """Return the changes so far, and begin anew for the next transaction."""
    assert isinstance(db, RecordingConnection)
    taken, db.changes = db.changes, TransactionChanges()
    return taken
