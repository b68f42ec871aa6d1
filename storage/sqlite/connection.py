"""A connection that remembers what its transaction has done, for those who wait to hear of it."""

import sqlite3
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class News:
    """What one transaction changed."""

    changed: set[str] = field(default_factory=set)
    """The ids of tasks whose log has grown, or that are gone."""

    ended: set[str] = field(default_factory=set)
    """The ids of tasks that have ended, or are gone."""

    unfinished: bool = False
    """Whether ends of tasks have still to be told to their dependants."""

    expiring: bool = False
    """Whether one more approval waits that will expire."""


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
