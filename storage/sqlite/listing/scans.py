"""Bounded index scans in list order; each stops after MOST_ENTRIES entries."""

import heapq
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from storage.records.lists import Position
from storage.sqlite.migrations.m05_spans import ENDS

MOST_ENTRIES = 20_000
"""Index entries that one scan reads: 6 ms, or 30 ms where it reads the tasks themselves."""

# The least and the most microseconds between creation and last activity, of the tasks in each activity bucket.
_BUCKETS = tuple(
    zip((0, *(end * 1_000_000 + 1 for end in ENDS)), (*(end * 1_000_000 for end in ENDS), None), strict=True)
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Positions that a scan has found."""

    found: list[Position]
    stop: Position | None
    """Where the scan stopped at its limit, before it found as many as were asked for; None if it did not."""


class IndexScan(Protocol):
    """A scan for tasks in list order, greatest position first."""

    def fetch(self, db: sqlite3.Connection, most: int, after: Position | None) -> Batch:
        """Return the first wanted tasks, or the first after a position."""
        ...

    def count_after(self, db: sqlite3.Connection, most: int, last: Position) -> tuple[int, bool]:
        """Count the tasks after `last`, up to `most`; returns also whether the scan stopped at its limit.

        It reads no further than a scan from the beginning does.
        """
        ...


@dataclass(frozen=True, slots=True)
class ResidualFilter:
    """Conditions that no index answers, and the columns they read."""

    conditions: Sequence[str] = ()
    columns: Sequence[str] = ()

    def sql(self) -> str:
        """Return a WHERE clause; empty without conditions."""
        return f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""


@dataclass(frozen=True, slots=True)
class IndexRange:
    """A part of an index of tasks that is in list order.

    `along` are the conditions that the index answers; `oldest` and `newest` bound the last activity, as SQL.
    """

    index: str
    along: Sequence[str]
    oldest: str | None = None
    newest: str | None = None

    def entries(self, columns: Sequence[str]) -> str:
        """Return the SQL for all entries, with these columns."""
        return self._sql(columns, self.oldest, self.newest)

    def behind(self, columns: Sequence[str]) -> str:
        """Return the SQL for the entries after the position (:at, :seq)."""
        newest = f"min(:at, {self.newest})" if self.newest else ":at"
        return self._sql(columns, self.oldest, newest, "(+last_activity_at < :at OR +seq < :seq)")

    def up_to(self) -> str:
        """Return the SQL for the entries before the position (:at, :seq), and the one at it."""
        oldest = f"max(:at, {self.oldest})" if self.oldest else ":at"
        return self._sql((), oldest, self.newest, "(+last_activity_at > :at OR +seq >= :seq)")

    def _sql(self, columns: Sequence[str], oldest: str | None, newest: str | None, *place: str) -> str:
        # One bound on either side: given two, SQLite would start at one and skip the entries that the other excludes.
        bounds = (*((f"last_activity_at >= {oldest}",) if oldest else ()),)
        bounds += (f"last_activity_at <= {newest}",) if newest else ()
        names = ", ".join(dict.fromkeys(("last_activity_at", "seq", *columns)))
        conditions = " AND ".join((*self.along, *bounds, *place))
        return f"SELECT {names} FROM tasks INDEXED BY tasks_by_{self.index} WHERE {conditions}"


def activity_buckets(
    index: str, along: Sequence[str], *, since: bool = False, until: bool = False
) -> Iterator[IndexRange]:
    """Yield an index's ranges, one per activity bucket, near the tasks created in a period.

    The period begins with :created_from if `since`, and ends with :created_to if `until`.
    """
    for span, (least, most) in enumerate(_BUCKETS):
        yield IndexRange(
            index,
            [*along, f"span = {span}"],
            oldest=f":created_from + {least}" if since else None,
            newest=f":created_to + {most}" if until and most is not None else None,
        )


@dataclass(frozen=True, slots=True)
class ActivityScan:
    """A scan of several index ranges, merged by last activity."""

    ranges: Sequence[IndexRange]
    residual: ResidualFilter
    values: Mapping[str, Any]

    def fetch(self, db: sqlite3.Connection, most: int, after: Position | None) -> Batch:
        """Return the first wanted tasks, or the first after a position."""
        bound = " LIMIT :entries" if self.residual.conditions else ""
        entries = f"({self._merged(self.residual.columns, after)}{bound})"
        statement = f"SELECT last_activity_at, seq FROM {entries}{self.residual.sql()} LIMIT :most"
        values = _placed(self.values, after, most=most, entries=MOST_ENTRIES)
        found = [Position(*row) for row in db.execute(statement, values)]
        # Without a residual filter every entry is wanted, so the scan needs no limit.
        gives_up = len(found) < most and self.residual.conditions
        return Batch(found, self._entry(db, after, MOST_ENTRIES) if gives_up else None)

    def count_after(self, db: sqlite3.Connection, most: int, last: Position) -> tuple[int, bool]:
        """Count the tasks after `last`, up to `most`; returns also whether the scan stopped at its limit."""
        left = MOST_ENTRIES - self._entries_up_to(db, last) if self.residual.conditions else most
        # One range after the other: counting needs no merged order.
        entries = " UNION ALL ".join(part.behind(self.residual.columns) for part in self.ranges)
        wanted = f"({entries} LIMIT :entries){self.residual.sql()}"
        statement = f"SELECT count(*) FROM (SELECT 1 FROM {wanted} LIMIT :most)"
        (count,) = db.execute(statement, _placed(self.values, last, most=most, entries=left)).fetchone()
        return count, count < most and self._entry(db, last, left + 1) is not None

    def _entries_up_to(self, db: sqlite3.Connection, last: Position) -> int:
        entries = " UNION ALL ".join(part.up_to() for part in self.ranges)
        (count,) = db.execute(f"SELECT count(*) FROM ({entries})", _placed(self.values, last)).fetchone()
        return int(count)

    def _entry(self, db: sqlite3.Connection, after: Position | None, number: int) -> Position | None:
        """Return the position of the entry with this number, from 1, after a position."""
        statement = f"{self._merged((), after)} LIMIT 1 OFFSET :others"
        row = db.execute(statement, _placed(self.values, after, others=number - 1)).fetchone()
        return Position(*row) if row else None

    def _merged(self, columns: Sequence[str], after: Position | None) -> str:
        parts = [part.behind(columns) if after else part.entries(columns) for part in self.ranges]
        return f"{' UNION ALL '.join(parts)} ORDER BY last_activity_at DESC, seq DESC"


@dataclass(frozen=True, slots=True)
class WordsScan:
    """A full-text scan for tasks with all of some words, newest first."""

    residual: ResidualFilter
    values: Mapping[str, Any]

    def fetch(self, db: sqlite3.Connection, most: int, after: Position | None) -> Batch:
        """Return the first wanted tasks, or the first after a position."""
        values = _placed(self.values, after, most=most, entries=MOST_ENTRIES)
        found = [
            Position(0, row["seq"]) for row in db.execute(f"SELECT t.seq {self._tasks(after)} LIMIT :most", values)
        ]
        return Batch(found, self._entry(db, after, MOST_ENTRIES) if len(found) < most else None)

    def count_after(self, db: sqlite3.Connection, most: int, last: Position) -> tuple[int, bool]:
        """Count the tasks after `last`, up to `most`; returns also whether the scan stopped at its limit."""
        up_to = "SELECT count(*) FROM task_words WHERE task_words MATCH :words AND rowid >= :seq"
        left = MOST_ENTRIES - db.execute(up_to, _placed(self.values, last)).fetchone()[0]
        statement = f"SELECT count(*) FROM (SELECT 1 {self._tasks(last)} LIMIT :most)"
        (count,) = db.execute(statement, _placed(self.values, last, most=most, entries=left)).fetchone()
        return count, count < most and self._entry(db, last, left + 1) is not None

    def _entry(self, db: sqlite3.Connection, after: Position | None, number: int) -> Position | None:
        statement = f"{self._entries(after)} LIMIT 1 OFFSET :others"
        row = db.execute(statement, _placed(self.values, after, others=number - 1)).fetchone()
        return Position(0, row["found"]) if row else None

    def _tasks(self, after: Position | None) -> str:
        entries = f"({self._entries(after)} LIMIT :entries)"
        return f"FROM {entries} CROSS JOIN tasks t ON t.seq = found{self.residual.sql()}"

    def _entries(self, after: Position | None) -> str:
        behind = " AND rowid < :seq" if after else ""
        return f"SELECT rowid AS found FROM task_words WHERE task_words MATCH :words{behind} ORDER BY rowid DESC"


@dataclass(frozen=True, slots=True)
class SmallScan:
    """A scan of a few tasks that no index has in list order: all are read, and sorted here.

    `source` is the FROM clause; `cut` says that it leaves some out.
    """

    source: str
    conditions: Sequence[str]
    values: Mapping[str, Any]
    cut: bool = False

    def fetch(self, db: sqlite3.Connection, most: int, after: Position | None) -> Batch:
        """Return the first wanted tasks, or the first after a position."""
        cursor = db.cursor()
        cursor.row_factory = None  # plain tuples sort twice as fast as rows
        cursor.execute(f"SELECT last_activity_at, seq {self._tasks(after)}", _placed(self.values, after))
        found = [Position(*place) for place in heapq.nlargest(most, cursor)]
        return Batch(found, Position(0, 0) if self.cut and len(found) < most else None)

    def count_after(self, db: sqlite3.Connection, most: int, last: Position) -> tuple[int, bool]:
        """Count the tasks after `last`, up to `most`; returns also whether the scan stopped at its limit."""
        statement = f"SELECT count(*) FROM (SELECT 1 {self._tasks(last)} LIMIT :most)"
        (count,) = db.execute(statement, _placed(self.values, last, most=most)).fetchone()
        return count, count < most and self.cut

    def _tasks(self, after: Position | None) -> str:
        behind = ("(last_activity_at, seq) < (:at, :seq)",) if after else ()
        conditions = " AND ".join((*self.conditions, *behind))
        return f"FROM {self.source}{' WHERE ' if conditions else ''}{conditions}"


def _placed(values: Mapping[str, Any], place: Position | None, **limits: int) -> dict[str, Any]:
    """Return the bound values; limits are bound too, since SQLite caches statements by their text."""
    return {**values, **({"at": place.at, "seq": place.seq} if place else {}), **limits}
