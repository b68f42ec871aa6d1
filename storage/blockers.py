"""What a task that is blocked waits for."""

import sqlite3

from storage import occupancy, relations, subtasks
from storage.states import BUSY, SUBTASKS


def find(db: sqlite3.Connection, seq: int, reason: str | None, most: int) -> list[str]:
    """The ids of the first tasks that keep one from going on, which is blocked for that reason."""
    if reason == BUSY:
        return occupancy.blocking(db, seq, most)
    if reason == SUBTASKS:
        return subtasks.awaited(db, seq, most)
    return relations.blocking(db, seq, most)
