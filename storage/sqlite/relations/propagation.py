"""Propagation of a task's end to its dependants.

The end itself and the note that dependants must be updated are one transaction. The dependants are updated in chunks;
what a crash leaves is done later.
"""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from server.errors import Code
from storage.records.masked import MaskedText
from storage.records.outcomes import TurnEnd
from storage.records.states import DEPENDENCIES, ENDED, Status
from storage.records.tasks import Origin
from storage.sqlite.connection import changes_of
from storage.sqlite.transitions.status import set_status
from storage.sqlite.transitions.turns import close_turn

R = TypeVar("R")

CHUNK = 250
"""Dependants updated in one transaction: about 40 ms, measured, during which other writers wait."""

_CAUSE = "SELECT p.*, t.id FROM propagations p CROSS JOIN tasks t ON t.seq = p.task"


def with_consequences(db: sqlite3.Connection, operation: Callable[[sqlite3.Connection], R], at: int) -> R:
    """Run an operation that may end tasks, and update their first chunk of dependants in the same transaction."""
    result = operation(db)
    if changes_of(db).unfinished:
        propagate(db, at)
    return result


def propagate(db: sqlite3.Connection, at: int) -> bool:
    """Update the next chunk of dependants; returns whether more are left, and notes it in the transaction's changes."""
    left = CHUNK
    while left and (cause := db.execute(f"{_CAUSE} ORDER BY task LIMIT 1").fetchone()):
        left -= _tell_some(db, cause, left, at)
    return _note_unfinished(db)


def tell_of(db: sqlite3.Connection, seq: int, at: int) -> bool:
    """Update the next dependants of this ended task; returns whether there were any.

    A task's next turn must not begin while an update about its former end is outstanding.
    """
    cause = db.execute(f"{_CAUSE} WHERE task = ?", (seq,)).fetchone()
    if cause is None:
        return False
    _tell_some(db, cause, CHUNK, at)
    _note_unfinished(db)
    return True


def ended_and_told(db: sqlite3.Connection, seq: int, at: int) -> sqlite3.Row:
    """Return a task that is about to be removed, cancelled if it was open, with all its dependants updated.

    Most dependants are removed before it; only a dependant that it is a part of cannot be.
    """
    task = db.execute("SELECT * FROM tasks WHERE seq = ?", (seq,)).fetchone()
    if Status(task["status"]) not in ENDED:
        close_turn(db, task, TurnEnd(Status.CANCELLED), at)
    while tell_of(db, seq, at):
        pass
    return db.execute("SELECT * FROM tasks WHERE seq = ?", (seq,)).fetchone()  # type: ignore[no-any-return]


def _note_unfinished(db: sqlite3.Connection) -> bool:
    changes_of(db).unfinished = db.execute("SELECT 1 FROM propagations").fetchone() is not None
    return changes_of(db).unfinished


def _tell_some(db: sqlite3.Connection, cause: sqlite3.Row, most: int, at: int) -> int:
    """Update the next dependants of one ended task; remove its note once all are done. Returns how many there were."""
    dependants = db.execute(
        """SELECT t.* FROM dependencies d INDEXED BY dependants CROSS JOIN tasks t ON t.seq = d.task
           WHERE d.needs = ? AND d.satisfied = 0 AND d.task > ? ORDER BY d.task LIMIT ?""",
        (cause["task"], cause["reached"], most),
    ).fetchall()
    if len(dependants) < most:
        db.execute("DELETE FROM propagations WHERE task = ?", (cause["task"],))
    else:
        db.execute("UPDATE propagations SET reached = ? WHERE task = ?", (dependants[-1]["seq"], cause["task"]))
    for dependant in dependants:
        if cause["ended"] == Status.COMPLETED or dependant["on_dependency_failure"] == "continue":
            _satisfy(db, dependant, cause["task"], at)
        elif Status(dependant["status"]) not in ENDED:
            _fail(db, dependant, cause, at)
    return len(dependants)


def _satisfy(db: sqlite3.Connection, dependant: sqlite3.Row, cause: int, at: int) -> None:
    db.execute("UPDATE dependencies SET satisfied = 1 WHERE task = ? AND needs = ?", (dependant["seq"], cause))
    (still_open,) = db.execute(
        "UPDATE tasks SET open_dependencies = open_dependencies - 1 WHERE seq = ? RETURNING open_dependencies",
        (dependant["seq"],),
    ).fetchone()
    if not still_open and dependant["blocked_reason"] == DEPENDENCIES:
        set_status(db, dependant, Status.PENDING, at)


def _fail(db: sqlite3.Connection, dependant: sqlite3.Row, cause: sqlite3.Row, at: int) -> None:
    origin = Origin(cause["origin"], Status(cause["origin_ended"]))
    how = "was cancelled" if origin.ended is Status.CANCELLED else "failed"
    way = "" if cause["id"] == origin.id else f"{cause['id']}, which failed because it depends on "
    message = MaskedText(f"the task depends on {way}{origin.id}, which {how}")
    close_turn(db, dependant, TurnEnd(Status.FAILED, Code.DEPENDENCY_FAILED, message), at, origin=origin)
