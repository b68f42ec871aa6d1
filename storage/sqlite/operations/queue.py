"""The queue: chooses which pending task gets the next free slot.

1. Sub-tasks for which a process waits come first, the deepest of all: otherwise nothing would ever continue.
2. Of the principals with pending tasks, the one with the fewest running tasks is next; of several, the one served least
recently. So no principal's tasks hold up another's, however many it has. Those never served count as equal.
3. Of one principal's tasks, those already started (a call was approved, sub-tasks have ended) come before those not
begun; among each of these, first come, first served.
"""

import sqlite3
from collections.abc import Collection, Mapping
from itertools import groupby

from storage.records.queue import SlotDemand
from storage.sqlite import rows
from storage.sqlite.relations import folder_locks

_NEVER = (0, 0)
"""The share of a principal that was never served."""


def first_with_room(db: sqlite3.Connection, demand: SlotDemand, at: int) -> sqlite3.Row | None:
    """Return the next task whose folder is free; tasks whose folder is taken are blocked on the way."""
    folder_locks.wake(db, at)
    closed = _numbers(db, demand.full)
    first = set(demand.waiting).difference(closed)
    while True:
        row = _first_beneath(db, first) or _first_in_turn(db, closed, demand.shares)
        if row is None or folder_locks.acquire(db, row, at):
            return row


def _numbers(db: sqlite3.Connection, ids: Collection[str]) -> list[int]:
    if not ids:
        return []
    found = db.execute("SELECT seq FROM tasks WHERE id IN (SELECT value FROM json_each(?))", (rows.dumps(list(ids)),))
    return [row["seq"] for row in found]


def _first_beneath(db: sqlite3.Connection, parents: Collection[int]) -> sqlite3.Row | None:
    """Return the deepest pending sub-task of these parents; of several, the one that has waited longest."""
    if not parents:
        return None
    return db.execute(  # type: ignore[no-any-return]
        """SELECT t.* FROM json_each(?) CROSS JOIN tasks t INDEXED BY tasks_by_parent ON t.parent = value
           WHERE t.status = 'pending' AND t.agent <> 'none' ORDER BY t.depth DESC, t.queue_place, t.seq LIMIT 1""",
        (rows.dumps(list(parents)),),
    ).fetchone()


def _first_in_turn(
    db: sqlite3.Connection, full: Collection[int], shares: Mapping[str, tuple[int, int]]
) -> sqlite3.Row | None:
    """Return the first task of the next principal, leaving out sub-tasks of the tasks in `full`."""
    waiting = sorted(_waiting(db), key=lambda each: shares.get(each, _NEVER))
    for _, equals in groupby(waiting, key=lambda each: shares.get(each, _NEVER)):
        found = [row for each in equals if (row := _first_of(db, each, full))]
        if found:
            return min(found, key=lambda row: (row["started_at"] is None, row["queue_place"], row["seq"]))
    return None


def _waiting(db: sqlite3.Connection) -> list[str]:
    """Return the principals with pending tasks, each found by one look into the index."""
    found = db.execute(
        """WITH RECURSIVE waiting (principal) AS (
               SELECT min(principal) FROM tasks INDEXED BY tasks_queue WHERE status = 'pending' AND agent <> 'none'
               UNION ALL SELECT (SELECT min(principal) FROM tasks INDEXED BY tasks_queue
                   WHERE status = 'pending' AND agent <> 'none' AND principal > waiting.principal)
               FROM waiting WHERE principal IS NOT NULL)
           SELECT principal FROM waiting WHERE principal IS NOT NULL"""
    )
    return [row["principal"] for row in found]


def _first_of(db: sqlite3.Connection, principal: str, full: Collection[int]) -> sqlite3.Row | None:
    elsewhere = "AND (parent IS NULL OR parent NOT IN (SELECT value FROM json_each(?)))" if full else ""
    return db.execute(  # type: ignore[no-any-return]
        f"""SELECT * FROM tasks INDEXED BY tasks_queue WHERE status = 'pending' AND agent <> 'none' AND principal = ?
            {elsewhere} ORDER BY started_at IS NULL, queue_place, seq LIMIT 1""",
        (principal, rows.dumps(list(full))) if full else (principal,),
    ).fetchone()
