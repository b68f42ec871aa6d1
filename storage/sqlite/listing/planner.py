"""Query planner for list_tasks: chooses the index that skips the fewest rows."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.records.lists import EQUAL, Filter
from storage.records.states import Status
from storage.records.tasks import AGENT, Principal
from storage.sqlite.listing import scans
from storage.sqlite.listing.scans import ActivityScan, IndexRange, IndexScan, ResidualFilter, SmallScan, WordsScan
from storage.sqlite.transitions.status import owned

SHORT = 500
"""Tasks created in a period that is scanned whole: about 0.2 ms. Scans by activity would skip many others."""

_INDEXES: dict[str, tuple[str, ...]] = {
    "activity": (),
    "status": ("status",),
    "agent": ("agent",),
    "task_list": ("task_list",),
    "assigned": ("assigned_agent",),
    "triggering": ("triggering_agent",),
    "internal_status": ("internal_status",),
    "parent": ("parent",),
    "status_agent": ("status", "agent"),
    "status_task_list": ("status", "task_list"),
    "status_assigned": ("status", "assigned_agent"),
    "task_list_assigned": ("task_list", "assigned_agent"),
}
"""The indexes that lists scan, by their columns; each also has a counter."""


@dataclass(frozen=True, slots=True)
class Query:
    """A principal's filter; `equal` are the columns that must have one value each."""

    principal: Principal
    wanted: Filter
    equal: Mapping[str, Any]

    @classmethod
    def of(cls, db: sqlite3.Connection, principal: Principal, wanted: Filter) -> "Query":
        """Return the query for a filter. Raises RemitError (NOT_FOUND) for an unknown parent."""
        equal = {name: value for name in EQUAL if (value := getattr(wanted, name)) is not None}
        if wanted.parent is not None:
            equal["parent"] = owned(db, principal, wanted.parent, field="parentTaskId")["seq"]
        if wanted.asker is not None:
            equal["source"] = AGENT
        return cls(principal, wanted, equal)

    @property
    def columns(self) -> set[str]:
        """The columns that are filtered, dates left out."""
        return {*self.equal, *(("status",) if self.wanted.statuses else ())}

    @property
    def values(self) -> dict[str, Any]:
        """The values bound in the conditions."""
        dates = {"created_from": self.wanted.created_from, "created_to": self.wanted.created_to}
        return {"principal": self.principal.id, **self.equal, **dates}

    @property
    def created(self) -> list[str]:
        """The conditions on the time of creation."""
        bounds = {">= :created_from": self.wanted.created_from, "<= :created_to": self.wanted.created_to}
        return [f"created_at {bound}" for bound, value in bounds.items() if value is not None]

    def conditions(self, *answered: str) -> list[str]:
        """Return all conditions, without those on the columns that an index has `answered`."""
        conditions = [f"{name} = :{name}" for name in self.equal if name not in answered]
        if self.wanted.statuses and "status" not in answered:
            names = ", ".join(f"'{status}'" for status in sorted(self.wanted.statuses))
            conditions.append(f"status IN ({names})")
        return conditions + self.created

    def counter(self, db: sqlite3.Connection, columns: tuple[str, ...]) -> int:
        """Return the number of tasks with the wanted values in these columns, from their counter."""
        columns = columns or ("status",)
        states = sorted(self.wanted.statuses or Status) if columns[0] == "status" else None
        firsts: Sequence[Any] = states or [self.equal[columns[0]]]
        second = str(self.equal[columns[1]]) if len(columns) > 1 else ""
        marks = ", ".join("?" * len(firsts))
        (count,) = db.execute(
            f"""SELECT coalesce(sum(n), 0) FROM tallies
                WHERE filter = ? AND first IN ({marks}) AND second = ? AND principal = ?""",
            (" ".join(columns), *map(str, firsts), second, self.principal.id),
        ).fetchone()
        return int(count)

    def from_counters(self, db: sqlite3.Connection) -> int | None:
        """Return the total of the query if a counter has it, else None."""
        if self.created or self.wanted.words or self.wanted.depends_on:
            return None
        columns = next((columns for columns in _INDEXES.values() if self.columns == set(columns)), None)
        return None if columns is None else self.counter(db, columns)


def plan(db: sqlite3.Connection, query: Query) -> IndexScan:
    """Return the scan for a query. Raises RemitError (NOT_FOUND) for an unknown dependency."""
    wanted, values = query.wanted, query.values
    if wanted.depends_on is not None:
        values["needs"] = owned(db, query.principal, wanted.depends_on, field="dependsOn")["seq"]
    if wanted.words:
        return _by_words(query, values)
    if wanted.depends_on is not None:
        return _by_dependency(db, query, values)
    if query.created and _is_short(db, query):
        conditions = ["principal = :principal", *query.conditions()]
        return SmallScan("tasks t INDEXED BY tasks_by_creation", conditions, values)
    return _by_activity(query, _shortest(db, query))


def _by_words(query: Query, values: dict[str, Any]) -> WordsScan:
    words = " ".join(f'"{word.replace(chr(34), "")}"' for word in query.wanted.words)
    conditions = ["principal = :principal", *query.conditions()]
    if query.wanted.depends_on is not None:
        conditions.append("EXISTS (SELECT 1 FROM dependencies WHERE task = t.seq AND needs = :needs)")
    return WordsScan(ResidualFilter(conditions), {"words": words, **values})


def _by_dependency(db: sqlite3.Connection, query: Query, values: dict[str, Any]) -> SmallScan:
    dependants = "SELECT task FROM dependencies INDEXED BY dependants WHERE needs = :needs"
    cut = db.execute(f"{dependants} LIMIT 1 OFFSET {scans.MOST_ENTRIES}", values).fetchone() is not None
    source = f"({dependants} LIMIT {scans.MOST_ENTRIES}) CROSS JOIN tasks t ON t.seq = task"
    return SmallScan(source, query.conditions(), values, cut)


def _is_short(db: sqlite3.Connection, query: Query) -> bool:
    """Return whether so few tasks were created in the wanted period that all of them can be scanned."""
    created = " AND ".join(("principal = :principal", *query.created))
    statement = f"SELECT 1 FROM tasks INDEXED BY tasks_by_creation WHERE {created} LIMIT 1 OFFSET {SHORT}"
    return db.execute(statement, query.values).fetchone() is None


def _by_activity(query: Query, index: str) -> ActivityScan:
    columns = _INDEXES[index]
    looked_at = [*query.columns.difference(columns), *(("created_at",) if query.created else ())]
    residual = ResidualFilter(query.conditions(*columns), looked_at)
    return ActivityScan(_branches(query, index), residual, query.values)


def _branches(query: Query, index: str) -> list[IndexRange]:
    equal = [f"{name} = :{name}" for name in _INDEXES[index] if name != "status"]
    if index == "parent":  # sub-tasks are few: they have no spans
        return [IndexRange(index, equal)]
    wanted = query.wanted
    starts = [[f"status = '{status}'"] for status in sorted(wanted.statuses)] if "status" in _INDEXES[index] else [[]]
    since, until = wanted.created_from is not None, wanted.created_to is not None
    return [
        part
        for start in starts
        for part in scans.activity_buckets(index, ["principal = :principal", *start, *equal], since=since, until=until)
    ]


def _shortest(db: sqlite3.Connection, query: Query) -> str:
    """Return the index that skips the fewest tasks: one that answers all columns, or else by the counters."""
    fitting = [name for name, columns in _INDEXES.items() if query.columns.issuperset(columns)]
    if len(_INDEXES[fitting[-1]]) == len(query.columns):
        return fitting[-1]
    return min(fitting, key=lambda name: query.counter(db, _INDEXES[name]))
