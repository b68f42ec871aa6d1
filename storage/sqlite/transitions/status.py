"""Status transitions of one task, with the times and events that they imply."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from server.errors import Code, RemitError
from storage.errors import not_found
from storage.records.events import EventKind, NewEvent, RunEvent
from storage.records.states import CALL_ENDED, ENDED, SUBTASKS, CallStatus, Status, call_may_become, may_become
from storage.records.tasks import Origin, Principal, Run
from storage.sqlite.connection import changes_of
from storage.sqlite.rows import dumps


def owned(db: sqlite3.Connection, principal: Principal, task_id: str, *, field: str | None = None) -> sqlite3.Row:
    """Return the row of a task of this principal. Raises RemitError (NOT_FOUND), also for another principal's task."""
    row = db.execute("SELECT * FROM tasks WHERE id = ? AND principal = ?", (task_id, principal.id)).fetchone()
    if row is None:
        raise not_found(task_id, field)
    return row  # type: ignore[no-any-return]


def held(db: sqlite3.Connection, run: Run) -> sqlite3.Row:
    """Return the row of the task that this run works on. Raises RemitError, CONFLICT if its fence is stale."""
    row = db.execute(
        """SELECT t.* FROM runs r JOIN tasks t ON t.seq = r.task AND t.fence = r.fence
           WHERE r.task = ? AND r.fence = ? AND r.ended_at IS NULL""",
        (run.seq, run.fence),
    ).fetchone()
    if row is None:
        raise RemitError(Code.CONFLICT, "this run no longer holds its task", id=run.task_id)
    return row  # type: ignore[no-any-return]


def at_work(db: sqlite3.Connection, task: sqlite3.Row) -> bool:
    """Return whether the task has an open run: while it is `running`, or while its process stays for a decision."""
    found = db.execute(
        "SELECT 1 FROM runs WHERE task = ? AND fence = ? AND ended_at IS NULL", (task["seq"], task["fence"])
    )
    return found.fetchone() is not None


def has_waiting_call(db: sqlite3.Connection, seq: int) -> bool:
    """Return whether a call of the task waits for a decision."""
    found = db.execute("SELECT 1 FROM calls WHERE task = ? AND status = 'awaiting_approval'", (seq,))
    return found.fetchone() is not None


def log(db: sqlite3.Connection, seq: int, kind: EventKind, data: Mapping[str, Any], at: int) -> int:
    """Append one event to the task's log; returns its number."""
    return log_all(db, seq, [NewEvent(kind, data)], at)


def log_all(db: sqlite3.Connection, seq: int, events: Sequence[NewEvent | RunEvent], at: int) -> int:
    """Append events to the task's log; returns the number of the last one."""
    last, task_id = db.execute(
        "UPDATE tasks SET last_event = last_event + ? WHERE seq = ? RETURNING last_event, id", (len(events), seq)
    ).fetchone()
    _write(db, seq, task_id, events, last, at)
    return int(last)


def set_status(
    db: sqlite3.Connection,
    task: sqlite3.Row,
    target: Status,
    at: int,
    *,
    error: tuple[Code, str] | None = None,
    blocked_reason: str | None = None,
    origin: Origin | None = None,
    done: Mapping[str, Any] | None = None,
) -> None:
    """Change a task's status to `target`, with its times and events; an end is noted for its dependants.

    `origin` is the task whose end caused this one, if not itself. `done` is the data of the event that ends a turn,
    which counts as one message. Raises RemitError (CONFLICT) if TASK_MOVES does not allow the transition.
    """
    current = Status(task["status"])
    if not may_become(current, target):
        raise RemitError(Code.CONFLICT, f"a task that is {current} cannot become {target}", status=str(current))
    code, message = error or (None, None)
    status = {"status": target, **({"blockedReason": blocked_reason} if blocked_reason else {})}
    events = [
        *([NewEvent(EventKind.ERROR, {"code": code, "message": message})] if error else []),
        NewEvent(EventKind.STATUS, status),
        *([NewEvent(EventKind.DONE, done)] if done is not None else []),
    ]
    place = next_place(db) if target is Status.PENDING else None
    (last,) = db.execute(
        """UPDATE tasks SET status = ?1, error_code = ?2, error = ?3, blocked_reason = ?4, updated_at = ?5,
               blocked_at = CASE WHEN ?1 = 'blocked' THEN ?5 END,
               queue_place = coalesce(?10, queue_place),
               completed_at = CASE WHEN ?6 THEN ?5 END,
               cancel_requested = CASE WHEN ?6 THEN 0 ELSE cancel_requested END,
               last_activity_at = CASE WHEN ?6 THEN max(?5, last_activity_at) ELSE last_activity_at END,
               last_event = last_event + ?7, message_count = message_count + ?8
           WHERE seq = ?9 RETURNING last_event""",
        (target, code, message, blocked_reason, at, target in ENDED, len(events), done is not None, task["seq"], place),
    ).fetchone()
    _write(db, task["seq"], task["id"], events, last, at)
    if task["parent"] is not None:
        _tell_above(db, task, status, at)
    if target in ENDED:
        _announce_end(db, task, target, origin or Origin(task["id"], target))
        _let_waiting_go_on(db, task, at)


def next_place(db: sqlite3.Connection) -> int:
    """Return the next place in the queue: an ever-increasing number, independent of the time of day."""
    (place,) = db.execute("UPDATE queue SET latest = latest + 1 RETURNING latest").fetchone()
    return int(place)


def start(db: sqlite3.Connection, task: sqlite3.Row, at: int, *, anew: bool) -> None:
    """Move a task to `running`; `anew` at the beginning of a turn, whose time that is."""
    set_status(db, task, Status.RUNNING, at)
    if anew:
        db.execute(
            "UPDATE tasks SET started_at = ?1, last_activity_at = max(?1, last_activity_at) WHERE seq = ?2",
            (at, task["seq"]),
        )


def set_call_status(db: sqlite3.Connection, call: sqlite3.Row, target: CallStatus, at: int, **changes: Any) -> None:
    """Change a call's status to `target`, set `changes` (columns of `calls`), and log it.

    Raises RemitError (CONFLICT) if CALL_MOVES does not allow the transition.
    """
    current = CallStatus(call["status"])
    if not call_may_become(current, target):
        raise RemitError(Code.CONFLICT, f"a call that is {current} cannot become {target}", status=str(current))
    columns = {"status": target, **changes}
    assignments = ", ".join(f"{name} = :{name}" for name in columns)
    db.execute(f"UPDATE calls SET {assignments} WHERE id = :id", {**columns, "id": call["id"]})
    if call["output"] is None:
        count_output(db, call["task"], columns.get("output") or "")
    log(db, call["task"], *_call_event({**dict(call), **columns}), at)


def close_calls(db: sqlite3.Connection, seq: int, turn: int, at: int, reason: str) -> None:
    """Cancel every call of the turn that has not ended."""
    marks = ", ".join("?" * len(CALL_ENDED))
    calls = db.execute(
        f"SELECT * FROM calls WHERE task = ? AND turn = ? AND status NOT IN ({marks}) ORDER BY position",
        (seq, turn, *CALL_ENDED),
    ).fetchall()
    for call in calls:
        set_call_status(db, call, CallStatus.CANCELLED, at, reason=reason)


def count_message(db: sqlite3.Connection, seq: int) -> None:
    """Count one more message, of the task and of its conversation."""
    db.execute("UPDATE tasks SET message_count = message_count + 1 WHERE seq = ?", (seq,))
    count_in_conversation(db, seq)


def count_in_conversation(db: sqlite3.Connection, seq: int) -> None:
    """Count one more message of the task in its conversation, if it shows there."""
    db.execute(
        """UPDATE conversations SET message_count = message_count + 1
           WHERE id = (SELECT conversation FROM tasks WHERE seq = ? AND show_in_history)""",
        (seq,),
    )


def count_output(db: sqlite3.Connection, seq: int, output: str) -> None:
    """Add to the characters of call output kept for the task."""
    if output:
        db.execute("UPDATE tasks SET kept_output = kept_output + ? WHERE seq = ?", (len(output), seq))


def go_on_without(db: sqlite3.Connection, seq: int, at: int) -> None:
    """Resume a task that waits for sub-tasks, whatever their status."""
    db.execute("DELETE FROM awaited WHERE task = ?", (seq,))
    task = db.execute("SELECT * FROM tasks WHERE seq = ?", (seq,)).fetchone()
    if task["status"] == Status.BLOCKED and task["blocked_reason"] == SUBTASKS:
        set_status(db, task, Status.PENDING, at)


def _tell_above(db: sqlite3.Connection, task: sqlite3.Row, data: Mapping[str, Any], at: int) -> None:
    """Log a sub-task's change in its parent's log; a wait for approval is logged by all ancestors."""
    above = task["parent"]
    while above is not None:
        log(db, above, EventKind.SUBTASK, {"taskId": task["id"], **data}, at)
        (above,) = db.execute("SELECT parent FROM tasks WHERE seq = ?", (above,)).fetchone()
        if data["status"] != Status.AWAITING_APPROVAL:
            return


def _let_waiting_go_on(db: sqlite3.Connection, task: sqlite3.Row, at: int) -> None:
    """Resume the tasks that waited for this one alone; forget what it waited for itself."""
    if task["blocked_reason"] == SUBTASKS:
        db.execute("DELETE FROM awaited WHERE task = ?", (task["seq"],))
    if task["parent"] is None:
        return
    waiting = db.execute("DELETE FROM awaited WHERE subtask = ? RETURNING task", (task["seq"],)).fetchall()
    for row in waiting:
        if not db.execute("SELECT 1 FROM awaited WHERE task = ?", (row["task"],)).fetchone():
            go_on_without(db, row["task"], at)


def _write(
    db: sqlite3.Connection, seq: int, task_id: str, events: Sequence[NewEvent | RunEvent], last: int, at: int
) -> None:
    """Write events into the task's log, the last of them with number `last`."""
    numbers = range(last - len(events) + 1, last + 1)
    lines = [(seq, number, at, event.kind, dumps(event.data)) for number, event in zip(numbers, events, strict=True)]
    db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", lines)
    changes_of(db).changed.add(task_id)


def _announce_end(db: sqlite3.Connection, task: sqlite3.Row, ended: Status, origin: Origin) -> None:
    changes_of(db).ended.add(task["id"])
    announced = db.execute(
        """INSERT OR REPLACE INTO propagations SELECT ?1, ?2, ?3, ?4, 0
           WHERE EXISTS (SELECT 1 FROM dependencies WHERE needs = ?1 AND satisfied = 0)""",
        (task["seq"], ended, origin.id, origin.ended),
    ).rowcount
    changes_of(db).unfinished |= announced > 0


def _call_event(call: Mapping[str, Any]) -> tuple[EventKind, dict[str, Any]]:
    data = {"callId": call["id"], "toolName": call["tool_name"], "status": call["status"]}
    ended = call["status"] in (CallStatus.SUCCESS, CallStatus.ERROR)
    extra = (
        {"exitStatus": call["exit_status"]}
        if ended
        else {"outcome": call["outcome"], "by": call["decided_by"], "reason": call["reason"]}
    )
    kind = EventKind.TOOL_RESULT if ended else EventKind.TOOL_CALL
    return kind, data | {name: value for name, value in extra.items() if value is not None}
