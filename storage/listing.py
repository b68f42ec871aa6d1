"""Finding tasks: every list is a few walks along indexes, merged.

A page costs as much among a million tasks as among a thousand. What no index answers is looked at on the way, for a
bounded number of tasks, and the page says so where that was not enough.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from storage import rows, walks
from storage.filters import Filter, Page, Position, Total
from storage.moves import owned
from storage.records import Principal, Row
from storage.relations import blocking
from storage.states import Status
from storage.walks import ActivityWalk, Branch, Look, SmallWalk, Walk, Wanted, WordsWalk

MOST_COUNTED = 1000
"""Tasks that are counted one by one; a higher total is known only where a tally is kept."""

SHORT = 1000
"""Tasks created in a time that is looked through as a whole: about 0.4 ms. Walks by activity would pass many others."""

_BLOCKERS = 3  # that a row names

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
"""What lists are walked along. Of each of these there is a tally as well."""


def find(
    db: sqlite3.Connection,
    principal: Principal,
    wanted: Filter,
    limit: int,
    offset: int,
    after: Position | None,
    known: Total | None = None,
) -> Page:
    """A page of tasks: `limit` of them after `offset` others, or after a position.

    `known` is the total of the page before: what has to be counted one by one is not counted again.
    Raises RemitError (NOT_FOUND) for a parent or a dependency that is not there.
    """
    equal = _equal(db, principal, wanted)
    walk = _walk(db, principal, wanted, equal)
    end = offset + limit
    look = walk.look(db, end + 1, after)
    tasks = _rows(db, [position.seq for position in look.found[offset:end]])
    total = _tallied(db, principal, wanted, equal) or known
    if total is None:
        total = _counted(db, walk, look if after is None else walk.look(db, end + 1, None), end)
    return Page(
        tasks=tasks,
        total=total.count,
        total_is_capped=total.is_capped,
        next=look.found[end - 1] if len(look.found) > end else look.stop,
        partial=look.stop is not None,
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


def _walk(db: sqlite3.Connection, principal: Principal, wanted: Filter, equal: dict[str, Any]) -> Walk:
    values = {"principal": principal.id, **equal, "created_from": wanted.created_from, "created_to": wanted.created_to}
    if wanted.depends_on is not None:
        values["needs"] = owned(db, principal, wanted.depends_on, field="dependsOn")["seq"]
    if wanted.words:
        return _by_words(wanted, equal, values)
    if wanted.depends_on is not None:
        return _by_dependency(db, wanted, equal, values)
    if _is_short(db, wanted, values):
        return _by_creation(wanted, equal, values)
    return _by_activity(db, principal, wanted, equal, values)


def _by_words(wanted: Filter, equal: dict[str, Any], values: dict[str, Any]) -> WordsWalk:
    words = " ".join(f'"{word.replace(chr(34), "")}"' for word in wanted.words)
    conditions = ["t.principal = :principal", *_conditions(wanted, equal)]
    if wanted.depends_on is not None:
        conditions.append("EXISTS (SELECT 1 FROM dependencies WHERE task = t.seq AND needs = :needs)")
    return WordsWalk(Wanted(conditions), {"words": words, **values})


def _by_dependency(db: sqlite3.Connection, wanted: Filter, equal: dict[str, Any], values: dict[str, Any]) -> SmallWalk:
    dependants = "SELECT task FROM dependencies INDEXED BY dependants WHERE needs = :needs"
    cut = db.execute(f"{dependants} LIMIT 1 OFFSET {walks.MOST_ENTRIES}", values).fetchone() is not None
    source = f"({dependants} LIMIT {walks.MOST_ENTRIES}) CROSS JOIN tasks t ON t.seq = task"
    return SmallWalk(source, _conditions(wanted, equal), values, cut)


def _is_short(db: sqlite3.Connection, wanted: Filter, values: dict[str, Any]) -> bool:
    """Whether so few tasks were created in the wanted time that all of them can be looked at."""
    if wanted.created_from is None and wanted.created_to is None:
        return False
    created = " AND ".join(("principal = :principal", *_created(wanted)))
    statement = f"SELECT 1 FROM tasks INDEXED BY tasks_by_creation WHERE {created} LIMIT 1 OFFSET {SHORT}"
    return db.execute(statement, values).fetchone() is None


def _by_creation(wanted: Filter, equal: dict[str, Any], values: dict[str, Any]) -> SmallWalk:
    conditions = ["t.principal = :principal", *_conditions(wanted, equal)]
    return SmallWalk("tasks t INDEXED BY tasks_by_creation", conditions, values)


def _by_activity(
    db: sqlite3.Connection, principal: Principal, wanted: Filter, equal: dict[str, Any], values: dict[str, Any]
) -> ActivityWalk:
    """Along the index that has the fewest entries for what is asked."""
    index = _shortest(db, principal, wanted, equal)
    columns = _INDEXES[index]
    along = [] if index == "parent" else ["principal = :principal"]
    along += [f"{name} = :{name}" for name in columns if name != "status"]
    conditions = [f"{name} = :{name}" for name in equal if name not in columns]
    looked_at = [name for name in equal if name not in columns]
    if "status" in columns:
        starts = [[*along, f"status = '{status}'"] for status in sorted(wanted.statuses)]
    else:
        starts = [along]
        if wanted.statuses:
            conditions.append(_status(wanted))
            looked_at.append("status")
    if created := _created(wanted):
        conditions += created
        looked_at.append("created_at")
    if index == "parent":  # sub-tasks are few
        branches = [Branch(index, along)]
    else:
        dates = {"since": wanted.created_from is not None, "until": wanted.created_to is not None}
        branches = [branch for start in starts for branch in walks.spans(index, start, **dates)]
    return ActivityWalk(branches, Wanted(conditions, looked_at), values)


def _conditions(wanted: Filter, equal: dict[str, Any]) -> list[str]:
    """Everything that is wanted of a task, where no index answers any of it."""
    conditions = [*(f"{name} = :{name}" for name in equal), *_created(wanted)]
    if wanted.statuses:
        conditions.append(_status(wanted))
    return [f"t.{condition}" for condition in conditions]


def _status(wanted: Filter) -> str:
    names = ", ".join(f"'{status}'" for status in sorted(wanted.statuses))
    return f"status IN ({names})"


def _created(wanted: Filter) -> list[str]:
    bounds = {">= :created_from": wanted.created_from, "<= :created_to": wanted.created_to}
    return [f"created_at {bound}" for bound, value in bounds.items() if value is not None]


def _counted(db: sqlite3.Connection, walk: Walk, first: Look, asked: int) -> Total:
    """How many tasks there are in all: counted on from what a first look, for one more than `asked`, has found."""
    count = len(first.found)
    if count <= asked:
        return Total(count, first.stop is not None)
    more, gave_up = walk.count_on(db, max(0, MOST_COUNTED + 1 - count), first.found[-1])
    return Total(min(count + more, MOST_COUNTED), gave_up or count + more > MOST_COUNTED)


def _shortest(db: sqlite3.Connection, principal: Principal, wanted: Filter, equal: dict[str, Any]) -> str:
    """The index that leads past the fewest tasks: the one that answers everything, or else as the tallies say."""
    given = _given(wanted, equal)
    fitting = [name for name, columns in _INDEXES.items() if given.issuperset(columns)]
    if len(_INDEXES[fitting[-1]]) == len(given):
        return fitting[-1]
    return min(fitting, key=lambda name: _tally(db, principal, wanted, equal, _INDEXES[name]))


def _given(wanted: Filter, equal: dict[str, Any]) -> set[str]:
    return {*equal, *(("status",) if wanted.statuses else ())}


def _tallied(db: sqlite3.Connection, principal: Principal, wanted: Filter, equal: dict[str, Any]) -> Total | None:
    """How many tasks match, where a tally is kept."""
    if wanted.created_from is not None or wanted.created_to is not None or wanted.words or wanted.depends_on:
        return None
    given = _given(wanted, equal)
    columns = next((columns for columns in _INDEXES.values() if given == set(columns)), None)
    return None if columns is None else Total(_tally(db, principal, wanted, equal, columns), is_capped=False)


def _tally(
    db: sqlite3.Connection, principal: Principal, wanted: Filter, equal: dict[str, Any], columns: tuple[str, ...]
) -> int:
    """How many tasks have what is wanted in these columns."""
    columns = columns or ("status",)
    states = sorted(wanted.statuses or Status) if columns[0] == "status" else None
    firsts: Sequence[Any] = states or [equal[columns[0]]]
    second = str(equal[columns[1]]) if len(columns) > 1 else ""
    marks = ", ".join("?" * len(firsts))
    (count,) = db.execute(
        f"""SELECT coalesce(sum(n), 0) FROM tallies
            WHERE filter = ? AND first IN ({marks}) AND second = ? AND principal = ?""",
        (" ".join(columns), *map(str, firsts), second, principal.id),
    ).fetchone()
    return int(count)


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
