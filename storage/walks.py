"""Walks towards the tasks of a list, each in its order, and no farther than is bearable."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from storage.filters import Position

MOST_ENTRIES = 20_000
"""Entries of an index that one walk looks at: about 20 ms."""


class Walk(Protocol):
    """A way to tasks that are wanted, the greatest position first."""

    def found(self, db: sqlite3.Connection, most: int, after: Position | None) -> list[Position]:
        """The first of the wanted tasks, or the first after a position."""
        ...

    def stopped(self, db: sqlite3.Connection, after: Position | None) -> Position | None:
        """Where the walk gives up, if it is too long."""
        ...

    def count(self, db: sqlite3.Connection, most: int) -> int:
        """How many tasks are wanted, up to `most`."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Conditions that no index answers, and the columns they look at."""

    conditions: Sequence[str] = ()
    columns: Sequence[str] = ()

    def sql(self) -> str:
        """As a clause; nothing where nothing is wanted."""
        return f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""


@dataclass(frozen=True, slots=True)
class ActivityWalk:
    """Along an index of tasks by activity: `along` are the conditions that the index itself answers."""

    index: str
    along: Sequence[str]
    wanted: Wanted
    values: Mapping[str, Any]

    def found(self, db: sqlite3.Connection, most: int, after: Position | None) -> list[Position]:
        """The first of the wanted tasks, or the first after a position."""
        statement = f"SELECT last_activity_at, seq FROM ({self._entries(after)}){self.wanted.sql()} LIMIT {most}"
        return [Position(*row) for row in db.execute(statement, self._values(after))]

    def stopped(self, db: sqlite3.Connection, after: Position | None) -> Position | None:
        """Where the walk gives up; one on which everything is wanted need not."""
        if not self.wanted.conditions:
            return None
        statement = f"SELECT last_activity_at, seq FROM ({self._entries(after)}) LIMIT 1 OFFSET {MOST_ENTRIES - 1}"
        row = db.execute(statement, self._values(after)).fetchone()
        return Position(*row) if row else None

    def count(self, db: sqlite3.Connection, most: int) -> int:
        """How many tasks are wanted, up to `most`."""
        statement = f"SELECT count(*) FROM (SELECT 1 FROM ({self._entries(None)}){self.wanted.sql()} LIMIT {most})"
        return int(db.execute(statement, self._values(None)).fetchone()[0])

    def _entries(self, after: Position | None) -> str:
        columns = ", ".join(dict.fromkeys(("seq", "last_activity_at", *self.wanted.columns)))
        along = (*self.along, *(("(last_activity_at, seq) < (:at, :seq)",) if after else ()))
        bound = f" LIMIT {MOST_ENTRIES}" if self.wanted.conditions else ""
        return (
            f"SELECT {columns} FROM tasks INDEXED BY tasks_by_{self.index} WHERE {' AND '.join(along)} "
            f"ORDER BY last_activity_at DESC, seq DESC{bound}"
        )

    def _values(self, after: Position | None) -> dict[str, Any]:
        return {**self.values, **({"at": after.at, "seq": after.seq} if after else {})}


@dataclass(frozen=True, slots=True)
class WordsWalk:
    """Through the tasks that hold all of some words, the latest created first."""

    wanted: Wanted
    values: Mapping[str, Any]

    def found(self, db: sqlite3.Connection, most: int, after: Position | None) -> list[Position]:
        """The first of the wanted tasks, or the first after a position."""
        statement = f"SELECT t.seq {self._tasks(after)} LIMIT {most}"
        return [Position(0, row["seq"]) for row in db.execute(statement, self._values(after))]

    def stopped(self, db: sqlite3.Connection, after: Position | None) -> Position | None:
        """Where the walk gives up."""
        statement = f"SELECT found FROM ({self._entries(after)}) LIMIT 1 OFFSET {MOST_ENTRIES - 1}"
        row = db.execute(statement, self._values(after)).fetchone()
        return Position(0, row["found"]) if row else None

    def count(self, db: sqlite3.Connection, most: int) -> int:
        """How many tasks are wanted, up to `most`."""
        statement = f"SELECT count(*) FROM (SELECT 1 {self._tasks(None)} LIMIT {most})"
        return int(db.execute(statement, self._values(None)).fetchone()[0])

    def _tasks(self, after: Position | None) -> str:
        return f"FROM ({self._entries(after)}) CROSS JOIN tasks t ON t.seq = found{self.wanted.sql()}"

    def _entries(self, after: Position | None) -> str:
        before = " AND rowid < :seq" if after else ""
        return (
            f"SELECT rowid AS found FROM task_words WHERE task_words MATCH :words{before} "
            f"ORDER BY rowid DESC LIMIT {MOST_ENTRIES}"
        )

    def _values(self, after: Position | None) -> dict[str, Any]:
        return {**self.values, **({"seq": after.seq} if after else {})}


@dataclass(frozen=True, slots=True)
class DependantsWalk:
    """Through the tasks that depend on one; they are put in order here, since no index has them so."""

    wanted: Wanted
    values: Mapping[str, Any]

    def found(self, db: sqlite3.Connection, most: int, after: Position | None) -> list[Position]:
        """The first of the wanted tasks, or the first after a position."""
        statement = f"""SELECT t.last_activity_at, t.seq FROM dependencies d INDEXED BY dependants
            CROSS JOIN tasks t ON t.seq = d.task WHERE d.needs = :needs
            {" AND ".join(("", *self.wanted.conditions))} LIMIT {MOST_ENTRIES}"""
        found = sorted((Position(*row) for row in db.execute(statement, self.values)), reverse=True)
        return [position for position in found if after is None or position < after][:most]

    def stopped(self, db: sqlite3.Connection, after: Position | None) -> Position | None:
        """The end of the list, if there are more than were looked at."""
        statement = f"SELECT 1 FROM dependencies WHERE needs = :needs LIMIT 1 OFFSET {MOST_ENTRIES}"
        return Position(0, 0) if db.execute(statement, self.values).fetchone() else None

    def count(self, db: sqlite3.Connection, most: int) -> int:
        """How many tasks are wanted, up to `most`."""
        return len(self.found(db, most, None))


def merged(
    db: sqlite3.Connection, walks: Sequence[Walk], most: int, after: Position | None
) -> tuple[list[Position], Position | None]:
    """The first tasks of several walks in one order, and how far they can be relied upon, if not to the end.

    Behind the place where one walk has given up, the others' tasks are not in order any more: they are left out.
    """
    found: list[Position] = []
    frontier = None
    for walk in walks:
        ahead = walk.found(db, most, after)
        found += ahead
        # One that has brought as many as are asked for has not given up before them.
        if len(ahead) < most and (stop := walk.stopped(db, after)):
            frontier = max(frontier, stop) if frontier else stop
    found = sorted(found, reverse=True)[:most]
    if frontier is None or (len(found) == most and found[-1] >= frontier):
        return found, None
    return [position for position in found if position >= frontier], frontier
