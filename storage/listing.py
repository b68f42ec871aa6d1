"""Finding tasks: every list is a few walks along indexes, merged.

A page costs as much among a million tasks as among a thousand. What no index answers is looked at on the way, for a
bounded number of tasks, and the page says so where that was not enough.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from storage import rows
from storage.filters import Filter, Page, Position
from storage.moves import owned
from storage.records import Principal, Row
from storage.relations import blocking
from storage.states import Status
from storage.walks import ActivityWalk, DependantsWalk, Walk, Wanted, WordsWalk, merged

MOST_COUNTED = 1000
"""Tasks that are counted one by one; a higher total is known only where a tally is kept."""

_BLOCKERS = 3  # that a row names

# From the most telling to the least: a list is walked along the first that answers a part of what is asked.
_INDEXES: dict[str, tuple[str, ...]] = {
    "parent": ("parent",),
    "task_list_assigned": ("task_list", "assigned_agent"),
    "status_task_list": ("status", "task_list"),
    "status_assigned": ("status", "assigned_agent"),
    "triggering": ("triggering_agent",),
    "internal_status": ("internal_status",),
    "task_list": ("task_list",),
    "assigned": ("assigned_agent",),
    "status_agent": ("status", "agent"),
    "status": ("status",),
    "agent": ("agent",),
    "activity": (),
}
_TALLIED = frozenset(
    {
        ("status",),
        ("agent",),
        ("task_list",),
        ("assigned_agent",),
        ("triggering_agent",),
        ("internal_status",),
        ("parent",),
        ("status", "agent"),
        ("status", "task_list"),
        ("status", "assigned_agent"),
        ("task_list", "assigned_agent"),
    }
)

# Microseconds of activity at most in each span but the last (storage/migrations/relations.py).
_SPANS = (64_000_000, 1_024_000_000, 16_384_000_000, 262_144_000_000, None)


def find(
    db: sqlite3.Connection, principal: Principal, wanted: Filter, limit: int, offset: int, after: Position | None
) -> Page:
    """A page of tasks: `limit` of them after `offset` others, or after a position.

    Raises RemitError (NOT_FOUND) for a parent or a dependency that is not there.
    """
    equal = _equal(db, principal, wanted)
    walks = list(_walks(db, principal, wanted, equal))
    end = offset + limit
    found, frontier = merged(db, walks, end + 1, after)
    more = len(found) > end
    tasks = _rows(db, [position.seq for position in found[offset:end]])
    total, capped = _total(db, principal, wanted, equal, walks)
    return Page(
        tasks=tasks,
        total=total,
        total_is_capped=capped,
        next=found[end - 1] if more else frontier,
        partial=not more and frontier is not None,
        waiting=_waiting(db, tasks),
        blocked_by={task.seq: blocking(db, task.seq, _BLOCKERS) for task in tasks if task.status is Status.BLOCKED},
    )


def _equal(db: sqlite3.Connection, principal: Principal, wanted: Filter) -> dict[str, Any]:
    """The columns that have to have one value each; states aside, which may be several."""
    columns = ("agent", "task_list", "assigned_agent", "triggering_agent", "internal_status")
    equal = {name: value for name in columns if (value := getattr(wanted, name)) is not None}
    if wanted.parent is not None:
        equal["parent"] = owned(db, principal, wanted.parent, field="parentTaskId")["seq"]
    return equal


def _walks(db: sqlite3.Connection, principal: Principal, wanted: Filter, equal: dict[str, Any]) -> Iterator[Walk]:
    if wanted.words:
        words = " ".join(f'"{word.replace(chr(34), "")}"' for word in wanted.words)
        conditions = ["t.principal = :principal", *_all_conditions(wanted, equal, "t.")]
        values = {"principal": principal.id, "words": words, **equal, **_values(wanted)}
        if wanted.depends_on is not None:
            values["needs"] = owned(db, principal, wanted.depends_on, field="dependsOn")["seq"]
            conditions.append("EXISTS (SELECT 1 FROM dependencies WHERE task = t.seq AND needs = :needs)")
        yield WordsWalk(Wanted(conditions), values)
    elif wanted.depends_on is not None:
        needs = owned(db, principal, wanted.depends_on, field="dependsOn")["seq"]
        conditions = _all_conditions(wanted, equal, "t.")
        yield DependantsWalk(Wanted(conditions), {"needs": needs, **equal, **_values(wanted)})
    else:
        for one in [{**equal, "status": status} for status in sorted(wanted.statuses)] or [equal]:
            yield _direct(principal, wanted, one)
            if wanted.created_to is not None:
                yield from _crossing(principal, wanted, one)


def _direct(principal: Principal, wanted: Filter, equal: dict[str, Any]) -> ActivityWalk:
    """Along the index that answers most. What was active by the last date was created by then, too."""
    index, columns = next((name, columns) for name, columns in _INDEXES.items() if set(columns) <= set(equal))
    along = [] if index == "parent" else ["principal = :principal"]
    along += [f"{name} = :{name}" for name in columns]
    along += _bounds(wanted)
    if wanted.created_to is not None:
        along.append("last_activity_at <= :created_to")
    rest = [name for name in equal if name not in columns]
    return ActivityWalk(index, along, _looked_at(wanted, rest), _bound(principal, wanted, equal))


def _crossing(principal: Principal, wanted: Filter, equal: dict[str, Any]) -> Iterator[ActivityWalk]:
    """What was created by the last date and active after it, by how long it has been active: few, and near the date."""
    for span, reach in enumerate(_SPANS):
        along = ["principal = :principal", f"span = {span}", "last_activity_at > :created_to", *_bounds(wanted)]
        if reach is not None:
            along.append(f"last_activity_at <= :created_to + {reach}")
        looked_at = _looked_at(wanted, list(equal))
        crossing = Wanted(["created_at <= :created_to", *looked_at.conditions], ["created_at", *looked_at.columns])
        yield ActivityWalk("span", along, crossing, _bound(principal, wanted, equal))


def _bounds(wanted: Filter) -> list[str]:
    return ["last_activity_at >= :created_from"] if wanted.created_from is not None else []


def _looked_at(wanted: Filter, columns: Sequence[str]) -> Wanted:
    conditions = [f"{name} = :{name}" for name in columns]
    if wanted.created_from is not None:
        return Wanted(["created_at >= :created_from", *conditions], ["created_at", *columns])
    return Wanted(conditions, columns)


def _all_conditions(wanted: Filter, equal: dict[str, Any], table: str) -> list[str]:
    """Everything that is wanted, where no index answers any of it."""
    conditions = [f"{table}{name} = :{name}" for name in equal]
    if wanted.statuses:
        names = ", ".join(f"'{status}'" for status in sorted(wanted.statuses))
        conditions.append(f"{table}status IN ({names})")
    if wanted.created_from is not None:
        conditions.append(f"{table}created_at >= :created_from")
    if wanted.created_to is not None:
        conditions.append(f"{table}created_at <= :created_to")
    return conditions


def _values(wanted: Filter) -> dict[str, Any]:
    return {"created_from": wanted.created_from, "created_to": wanted.created_to}


def _bound(principal: Principal, wanted: Filter, equal: dict[str, Any]) -> dict[str, Any]:
    return {"principal": principal.id, **equal, **_values(wanted)}


def _total(
    db: sqlite3.Connection, principal: Principal, wanted: Filter, equal: dict[str, Any], walks: Sequence[Walk]
) -> tuple[int, bool]:
    """How many tasks match, and whether there may be more: exact wherever a tally is kept."""
    columns = (*(("status",) if wanted.statuses else ()), *equal)
    dated = wanted.created_from is not None or wanted.created_to is not None
    if not (dated or wanted.words or wanted.depends_on) and (columns in _TALLIED or not columns):
        return _tallied(db, principal, wanted, equal), False
    counted = sum(walk.count(db, MOST_COUNTED + 1) for walk in walks)
    capped = counted > MOST_COUNTED or any(walk.stopped(db, None) for walk in walks)
    return min(counted, MOST_COUNTED), capped


def _tallied(db: sqlite3.Connection, principal: Principal, wanted: Filter, equal: dict[str, Any]) -> int:
    states = sorted(wanted.statuses or Status) if wanted.statuses or not equal else []
    names = " ".join((*(("status",) if states else ()), *equal))
    firsts: Sequence[Any] = states or [next(iter(equal.values()))]
    second = list(equal.values())[0 if states else 1 :]
    return sum(
        row["n"]
        for first in firsts
        for row in db.execute(
            "SELECT n FROM tallies WHERE filter = ? AND first = ? AND second = ? AND principal = ?",
            (names, str(first), str(second[0]) if second else "", principal.id),
        )
    )


def _rows(db: sqlite3.Connection, seqs: Sequence[int]) -> list[Row]:
    """The tasks themselves, in the order of `seqs`."""
    if not seqs:
        return []
    marks = ", ".join("?" * len(seqs))
    found = db.execute(f"SELECT {rows.ROW_COLUMNS} FROM {rows.TASKS} WHERE t.seq IN ({marks})", tuple(seqs))
    known = {row["seq"]: rows.summary(row) for row in found}
    return [known[seq] for seq in seqs]


def _waiting(db: sqlite3.Connection, tasks: Iterable[Row]) -> dict[int, int]:
    seqs = [task.seq for task in tasks if task.status in (Status.RUNNING, Status.AWAITING_APPROVAL)]
    statement = (
        "SELECT count(*) AS n FROM calls INDEXED BY calls_awaiting WHERE status = 'awaiting_approval' AND task = ?"
    )
    counts = {seq: db.execute(statement, (seq,)).fetchone()["n"] for seq in seqs}
    return {seq: n for seq, n in counts.items() if n}
