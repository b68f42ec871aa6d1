"""A connection that remembers what its transaction has done, for those who wait to hear of it."""

import sqlite3
from typing import Any

from storage.changes import News


class Connection(sqlite3.Connection):
    """An SQLite connection with the news of the transaction under way."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.news = News()


def news(db: sqlite3.Connection) -> News:
    """Where a change made on this connection is noted."""
    assert isinstance(db, Connection)
    return db.news


def take_news(db: sqlite3.Connection) -> News:
    """The news so far; what follows is the next transaction's."""
    assert isinstance(db, Connection)
    taken, db.news = db.news, News()
    return taken
