"""The open tasks of a restored database: none continues before a person says so."""

import sqlite3

from storage.records.recovery import HeldTasks
from storage.records.states import BUSY, RESTORED, SUBTASKS, Status
from storage.sqlite.operations.run_ends import recover
from storage.sqlite.relations.propagation import propagate
from storage.sqlite.transitions.status import set_status


def hold(db: sqlite3.Connection, at: int) -> HeldTasks:
    """Settle what was running when the backup was made, and pause what would continue by itself.

    It may have continued after the backup was made, and would be done a second time. What waits for a person, or for
    tasks that are paused now, stays as it is.
    """
    recovery = recover(db, at)
    while propagate(db, at):
        pass  # dependants of ended tasks would continue by themselves as well
    for row in _blocked(db):
        db.execute("DELETE FROM awaited WHERE task = ?", (row["seq"],))
        set_status(db, row, Status.PENDING, at)
    pending = db.execute("SELECT * FROM tasks WHERE status = 'pending' AND agent <> 'none' ORDER BY seq").fetchall()
    for row in pending:
        set_status(db, row, Status.PAUSED, at, blocked_reason=RESTORED)
    waiting = db.execute("SELECT id FROM tasks WHERE status = 'awaiting_approval' ORDER BY seq").fetchall()
    return HeldTasks(recovery.interrupted, [row["id"] for row in pending], [row["id"] for row in waiting])


def _blocked(db: sqlite3.Connection) -> list[sqlite3.Row]:
    """Return the tasks that wait for a folder, or for a limited time for their sub-tasks."""
    return db.execute(
        "SELECT * FROM tasks WHERE status = 'blocked' AND blocked_reason IN (?, ?) ORDER BY seq", (BUSY, SUBTASKS)
    ).fetchall()
