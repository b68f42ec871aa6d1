"""SQLite connections that record the changes of the transaction in progress."""

import sqlite3
from typing import Any

from storage.changes import TransactionChanges


class RecordingConnection(sqlite3.Connection):
    """An SQLite connection with the changes of its transaction."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.changes = TransactionChanges()


def changes_of(db: sqlite3.Connection) -> TransactionChanges:
    """Return the record of changes of this connection's transaction."""
    assert isinstance(db, RecordingConnection)
    return db.changes


def drain_changes(db: sqlite3.Connection) -> TransactionChanges:
    """Return the changes so far, and start an empty record for the next transaction."""
    assert isinstance(db, RecordingConnection)
    taken, db.changes = db.changes, TransactionChanges()
    return taken
