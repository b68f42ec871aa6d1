"""What the end of a task means for those that wait for it.

The end itself and the note that its dependants have to be told are one transaction; they are told in chunks, and what a
crash leaves is told later.
"""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from storage.records.states import DEPENDENCIES, ENDED, Status
from storage.records.tasks import Origin, RunEnd
from storage.sqlite.connection import changes_of
from storage.sqlite.transitions.status import set_status
from storage.sqlite.transitions.turns import close_turn

R = TypeVar("R")

CHUNK = 250
"""Dependants told in one transaction: about 40 ms, measured, for which other writers wait."""

_CAUSE = "SELECT p.*, t.id FROM propagations p CROSS JOIN tasks t ON t.seq = p.task"


def with_consequences(db: sqlite3.Connection, operation: Callable[[sqlite3.Connection], R], at: int) -> R:
    """Do something that may end tasks, and tell as many of their dependants as one chunk holds."""
    result = operation(db)
    if changes_of(db).unfinished:
        propagate(db, at)
    return result


def propagate(db: sqlite3.Connection, at: int) -> bool:
    """Tell the next chunk of dependants; whether there are more to be told is in the news, and returned."""
    left = CHUNK
    while left and (cause := db.execute(f"{_CAUSE} ORDER BY task LIMIT 1").fetchone()):
        left -= _tell_some(db, cause, left, at)
    return _note_unfinished(db)


def tell_of(db: sqlite3.Connection, seq: int, at: int) -> bool:
    """Tell the next of those that do not know yet that this task has ended; whether there were any.

    What goes on must leave no news of an earlier end behind.
    """
    cause = db.execute(f"{_CAUSE} WHERE task = ?", (seq,)).fetchone()
    if cause is None:
        return False
    _tell_some(db, cause, CHUNK, at)
    _note_unfinished(db)
    return True


def ended_and_told(db: sqlite3.Connection, seq: int, at: int) -> sqlite3.Row:
    """A task that is about to be removed, cancelled if it was open; whoever still waited for it has heard of that.

    What waits for it mostly goes before it; only what waits for a part of itself cannot.
    """
    task = db.execute("SELECT * FROM tasks WHERE seq = ?", (seq,)).fetchone()
    if Status(task["status"]) not in ENDED:
        close_turn(db, task, RunEnd(Status.CANCELLED), at)
    while tell_of(db, seq, at):
        pass
    return db.execute("SELECT * FROM tasks WHERE seq = ?", (seq,)).fetchone()  # type: ignore[no-any-return]


def _note_unfinished(db: sqlite3.Connection) -> bool:
    changes_of(db).unfinished = db.execute("SELECT 1 FROM propagations").fetchone() is not None
    return changes_of(db).unfinished


def _tell_some(db: sqlite3.Connection, cause: sqlite3.Row, most: int, at: int) -> int:
    """Tell the next dependants of one ended task; forget it once all of them know."""
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
    way = "" if cause["id"] == origin.id else f"{cause['id']}, and by way of it on "
    how = "was cancelled" if origin.ended is Status.CANCELLED else "failed"
    message = f"the task depends on {way}{origin.id}, which {how}"
    close_turn(db, dependant, RunEnd(Status.FAILED, "DEPENDENCY_FAILED", message), at, origin=origin)
