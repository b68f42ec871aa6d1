"""The secrets of all turns of a task, by name: their values are nowhere in the store."""

import sqlite3
from dataclasses import dataclass

from storage.records import SecretSource


@dataclass(frozen=True, slots=True)
class Had:
    """A secret that a task had in one of its turns."""

    task_id: str
    turn: int
    name: str
    source: SecretSource


def ever(db: sqlite3.Connection, task_id: str) -> list[Had]:
    """The secrets of all turns of a task, the latest turn first."""
    found = db.execute(
        """SELECT t.id, s.turn, s.name, s.source FROM tasks t JOIN secret_names s ON s.task = t.seq
           WHERE t.id = ? ORDER BY s.turn DESC, s.name""",
        (task_id,),
    )
    return [Had(row["id"], row["turn"], row["name"], row["source"]) for row in found]
