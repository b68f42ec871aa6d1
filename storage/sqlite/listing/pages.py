"""Pages of list_tasks: every list is one index scan, or several merged ones.

A page costs as much among a million tasks as among a thousand. Conditions that no index answers are checked during the
scan, for a bounded number of tasks; the page says so if that was not enough.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from storage.records.lists import Filter, Page, Position, Total
from storage.records.states import OPEN, Status
from storage.records.tasks import Principal, Row
from storage.sqlite import rows
from storage.sqlite.listing.planner import Query, plan
from storage.sqlite.listing.scans import Batch, IndexScan
from storage.sqlite.relations import blockers

MOST_COUNTED = 1000
"""Tasks counted one by one; a higher total is known only from counters."""

_BLOCKERS = 3  # that a row names


def find(
    db: sqlite3.Connection,
    principal: Principal,
    wanted: Filter,
    limit: int,
    offset: int,
    after: Position | None,
    known: Total | None = None,
) -> Page:
    """Return a page of tasks: `limit` of them after the first `offset`, or after a position.

    `known` is the total of the page before: a total that needs counting is not counted again. Raises RemitError
    (NOT_FOUND) for an unknown parent or dependency.
    """
    query = Query.of(db, principal, wanted)
    scan = plan(db, query)
    end = offset + limit
    batch = scan.fetch(db, end + 1, after)
    tasks = _rows(db, [position.seq for position in batch.found[offset:end]])
    total = _from_counters(db, query) or known
    if total is None:
        total = _counted(db, scan, batch if after is None else scan.fetch(db, end + 1, None), end)
    return Page(
        tasks=tasks,
        total=total.count,
        total_is_capped=total.is_capped,
        next=batch.found[end - 1] if len(batch.found) > end else batch.stop,
        partial=batch.stop is not None,
        waiting=_waiting(db, tasks),
        blocked_by={
            task.seq: blockers.find(db, principal, task.seq, task.blocked_reason, _BLOCKERS, wanted.asker)
            for task in tasks
            if task.status is Status.BLOCKED
        },
    )


def _from_counters(db: sqlite3.Connection, query: Query) -> Total | None:
    count = query.from_counters(db)
    return None if count is None else Total(count, is_capped=False)


def _counted(db: sqlite3.Connection, scan: IndexScan, first: Batch, asked: int) -> Total:
    """Count all tasks of a list, continuing from the first batch, which asked for one more than `asked`."""
    count = len(first.found)
    if count <= asked:
        return Total(count, first.stop is not None)
    more, gave_up = scan.count_after(db, max(0, MOST_COUNTED + 1 - count), first.found[-1])
    return Total(min(count + more, MOST_COUNTED), gave_up or count + more > MOST_COUNTED)


def _rows(db: sqlite3.Connection, seqs: Sequence[int]) -> list[Row]:
    """Return the tasks' rows, in the order of `seqs`."""
    if not seqs:
        return []
    marks = ", ".join("?" * len(seqs))
    found = db.execute(f"SELECT {rows.ROW_COLUMNS} FROM {rows.TASKS} WHERE t.seq IN ({marks})", tuple(seqs))
    known = {row["seq"]: rows.summary(row) for row in found}
    return [known[seq] for seq in seqs]


def _waiting(db: sqlite3.Connection, tasks: Iterable[Row]) -> dict[int, int]:
    seqs = [task.seq for task in tasks if task.status in OPEN]
    statement = (
        "SELECT count(*) AS n FROM calls INDEXED BY calls_awaiting WHERE status = 'awaiting_approval' AND task = ?"
    )
    counts = {seq: db.execute(statement, (seq,)).fetchone()["n"] for seq in seqs}
    return {seq: n for seq, n in counts.items() if n}
