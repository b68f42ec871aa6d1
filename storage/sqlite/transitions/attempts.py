"""Further attempts at an interrupted turn, as its task's `onInterrupt` says."""

import os
import sqlite3

from server.errors import Code
from storage.records.events import EventKind
from storage.records.states import Status
from storage.records.tasks import Run
from storage.sqlite import rows
from storage.sqlite.transitions.status import close_calls, held, log, set_status

MOST_ATTEMPTS = 5
"""Attempts at one turn: a task that crashes its server each time must not do so for ever."""


def queue_another_attempt(db: sqlite3.Connection, task: sqlite3.Row, run: Run, by: str, at: int) -> str | None:
    """Queue another attempt at an interrupted turn; returns `retry` or `resume`, None if there is none.

    `retry` starts the turn over: its calls are closed, and the agent does not know of them. `resume` continues it,
    which is impossible if the agent's state was lost with its process.
    """
    how = _how(task)
    attempt, bound = db.execute(
        """SELECT attempt, bound FROM turns JOIN runs ON runs.task = turns.task AND fence = ?
           WHERE turns.task = ? AND number = ?""",
        (run.fence, run.seq, run.turn),
    ).fetchone()
    if how == "fail" or attempt >= MOST_ATTEMPTS or (how == "resume" and bound):
        return None
    if how == "retry":
        _begin_again(db, run, at)
    _count(db, run, attempt + 1, f"{by} in attempt {attempt}", at)
    set_status(db, task, Status.PENDING, at)
    return how


def why_not(db: sqlite3.Connection, task: sqlite3.Row, run: Run) -> str:
    """Return why there is no further attempt, as the end of a sentence; empty if none was wanted."""
    if _how(task) == "fail":
        return ""
    (attempt,) = db.execute("SELECT attempt FROM turns WHERE task = ? AND number = ?", (run.seq, run.turn)).fetchone()
    if attempt >= MOST_ATTEMPTS:
        return f"; it was attempt {attempt}, and there is no further one"
    return "; its agent cannot take up its work again"


def renew(db: sqlite3.Connection, run: Run, call_id: str, at: int) -> None:
    """Replace an interrupted call by a new one, which must be approved again."""
    held(db, run)
    call = db.execute("SELECT * FROM calls WHERE id = ? AND task = ?", (call_id, run.seq)).fetchone()
    _set_past(db, run, call["key"])
    # In two steps, so that no two calls have one position in between.
    later = "task = ? AND turn = ? AND position"
    db.execute(f"UPDATE calls SET position = -position WHERE {later} > ?", (run.seq, run.turn, call["position"]))
    db.execute(f"UPDATE calls SET position = 1 - position WHERE {later} < 0", (run.seq, run.turn))
    new_id = f"call_{os.urandom(8).hex()}"
    db.execute(
        """INSERT INTO calls (id, task, turn, key, position, tool_name, args, digest, similar, description, status)
           SELECT ?, task, turn, ?, position + 1, tool_name, args, digest, similar, description, 'pending'
           FROM calls WHERE id = ?""",
        (new_id, call["key"], call_id),
    )
    data = {"callId": new_id, "toolName": call["tool_name"], "status": "pending", "args": rows.loads(call["args"])}
    log(db, run.seq, EventKind.TOOL_CALL, data, at)


def _how(task: sqlite3.Row) -> str:
    """Return the task's `onInterrupt`."""
    return rows.demands(task).on_interrupt or "fail"


def _begin_again(db: sqlite3.Connection, run: Run, at: int) -> None:
    close_calls(db, run.seq, run.turn, at, "not reached: the task began again")
    _set_past(db, run, None)
    (last,) = db.execute("SELECT last_event FROM tasks WHERE seq = ?", (run.seq,)).fetchone()
    db.execute(
        "UPDATE turns SET state = NULL, first_event = ? WHERE task = ? AND number = ?", (last + 1, run.seq, run.turn)
    )


def _set_past(db: sqlite3.Connection, run: Run, key: str | None) -> None:
    """Set aside the call with this key, or all calls. Its key becomes its id, so that a new call can have the key."""
    db.execute(
        """UPDATE calls SET is_past = 1, key = id
           WHERE task = ?1 AND turn = ?2 AND NOT is_past AND key = ifnull(?3, key)""",
        (run.seq, run.turn, key),
    )


def _count(db: sqlite3.Connection, run: Run, attempt: int, reason: str, at: int) -> None:
    db.execute(
        "UPDATE turns SET attempt = ?, attempt_reason = ? WHERE task = ? AND number = ?",
        (attempt, reason, run.seq, run.turn),
    )
    message = f"{reason}: the task goes on with attempt {attempt}"
    log(db, run.seq, EventKind.ERROR, {"code": Code.INTERRUPTED, "message": message}, at)
