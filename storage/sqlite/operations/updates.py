"""Changes to a task, and reports on records, which this server does not execute."""

import sqlite3
from collections.abc import Iterator, Mapping

from server.errors import Code, RemitError
from storage.errors import MOST_NAMED
from storage.records.events import EventKind
from storage.records.masked import MaskedText
from storage.records.outcomes import TurnEnd
from storage.records.states import ENDED, REPORTED, Status
from storage.records.tasks import NOBODY, Principal, Update
from storage.sqlite import rows
from storage.sqlite.relations.dependencies import blocking, replace_dependencies
from storage.sqlite.transitions.status import log, owned, set_status, start
from storage.sqlite.transitions.turns import close_turn, correct_turn

_TOLD = {"progress": "progress", "progress_message": "progressMessage", "internal_status": "internalStatus"}
_FAILED = Code.EXECUTION_ERROR


def update(db: sqlite3.Connection, principal: Principal, task_id: str, wanted: Update, at: int) -> None:
    """Apply `wanted`, all of it or nothing.

    Raises RemitError: NOT_FOUND, CONFLICT for what the state of the task forbids, and what
    `storage.sqlite.relations.dependencies.replace_dependencies` raises.
    """
    task = owned(db, principal, task_id)
    _refuse_second_claim(task, wanted)
    _set_columns(db, task, wanted, at)
    if wanted.max_calls is not None:
        _set_budget(db, task, wanted.max_calls, at)
    if wanted.depends_on is not None:
        replace_dependencies(db, principal, task, wanted.depends_on, at)
    if wanted.status is not None:
        _report(db, owned(db, principal, task_id), wanted, wanted.status, at)


def _set_columns(db: sqlite3.Connection, task: sqlite3.Row, wanted: Update, at: int) -> None:
    values = {
        name: rows.dumps(value) if isinstance(value, Mapping) else value for name, value in wanted.columns.items()
    }
    assignments = "".join(f", {name} = :{name}" for name in values)
    db.execute(
        f"UPDATE tasks SET updated_at = :at{assignments} WHERE seq = :seq", {**values, "at": at, "seq": task["seq"]}
    )
    if values:
        told = {_TOLD[name]: value for name, value in values.items() if name in _TOLD}
        log(db, task["seq"], EventKind.STATUS, {"status": task["status"], **told}, at)


def _set_budget(db: sqlite3.Connection, task: sqlite3.Row, max_calls: int, at: int) -> None:
    """Set the number of calls; those already made count against it."""
    if task["agent"] == NOBODY:
        raise RemitError(
            Code.VALIDATION_ERROR,
            'maxCalls: is for tasks this server executes, not for agentId "none"',
            field="maxCalls",
        )
    used = _made(db, task) if task["max_calls"] is None else task["max_calls"] - task["calls_left"]
    left = max(0, max_calls - used)
    db.execute("UPDATE tasks SET max_calls = ?, calls_left = ? WHERE seq = ?", (max_calls, left, task["seq"]))
    if left and task["status"] == Status.PAUSED:
        set_status(db, task, Status.PENDING, at)


def _made(db: sqlite3.Connection, task: sqlite3.Row) -> int:
    """Return the number of calls begun in the task's turn."""
    row = db.execute(
        "SELECT count(*) FROM calls WHERE task = ? AND turn = ? AND status IN ('executing', 'success', 'error')",
        (task["seq"], task["turn"]),
    ).fetchone()
    return int(row[0])


def _refuse_second_claim(task: sqlite3.Row, wanted: Update) -> None:
    """Refuse to set a record to `running` if another agent claimed it first. Raises RemitError (CONFLICT).

    The agent that holds it may report `running` again, and so may a caller that names no agent where none is named.
    """
    if not (wanted.status is Status.RUNNING and task["status"] == Status.RUNNING and task["agent"] == NOBODY):
        return
    holder = task["assigned_agent"]
    if wanted.columns.get("assigned_agent") != holder:
        raise RemitError(
            Code.CONFLICT,
            f"assignedAgentId: the task is {task['status']} already{f', done by {holder!r}' if holder else ''}",
            field="assignedAgentId",
            status=task["status"],
            assignedAgentId=holder,
        )


def _report(db: sqlite3.Connection, task: sqlite3.Row, wanted: Update, target: Status, at: int) -> None:
    _refuse_report(db, task, target)
    if task["status"] == target:
        _correct(db, task, wanted, at)
    for step in _steps(Status(task["status"]), target):
        if step is Status.RUNNING:
            start(db, task, at, anew=task["started_at"] is None)
        elif step in ENDED:
            error_code = _FAILED if step is Status.FAILED else None
            error = MaskedText(wanted.error or "reported as failed")
            close_turn(db, task, TurnEnd(step, error_code, error), at, result=wanted.result or "")
        else:
            reason = (wanted.blocked_reason or REPORTED) if step is Status.BLOCKED else None
            set_status(db, task, step, at, blocked_reason=reason)
        task = db.execute("SELECT * FROM tasks WHERE seq = ?", (task["seq"],)).fetchone()


def _correct(db: sqlite3.Connection, task: sqlite3.Row, wanted: Update, at: int) -> None:
    """Replace what was reported for the status that the task already has; its times stay."""
    if wanted.result is not None:
        correct_turn(db, task, wanted.result, at)
    if wanted.error is not None:
        db.execute("UPDATE tasks SET error_code = ?, error = ? WHERE seq = ?", (_FAILED, wanted.error, task["seq"]))
        log(db, task["seq"], EventKind.ERROR, {"code": _FAILED, "message": wanted.error}, at)
    if wanted.blocked_reason is not None:
        db.execute("UPDATE tasks SET blocked_reason = ? WHERE seq = ?", (wanted.blocked_reason, task["seq"]))
        log(db, task["seq"], EventKind.STATUS, {"status": task["status"], "blockedReason": wanted.blocked_reason}, at)


def _refuse_report(db: sqlite3.Connection, task: sqlite3.Row, target: Status) -> None:
    status = task["status"]
    if task["agent"] != NOBODY:
        raise RemitError(
            Code.CONFLICT,
            f"status: the task is {status}, and this server executes it (agentId {task['agent']!r}), so its status "
            "follows from its work; "
            "cancel_task ends it, send_message opens its next turn",
            field="status",
            status=status,
        )
    if status in ENDED and target != status:
        raise RemitError(
            Code.CONFLICT,
            f"status: the task is {status}; send_message opens its next turn",
            field="status",
            status=status,
        )
    if task["open_dependencies"] and target != status and target in (Status.PENDING, Status.RUNNING, Status.COMPLETED):
        waits_for = blocking(db, task["seq"], MOST_NAMED)
        raise RemitError(
            Code.CONFLICT,
            f"status: the task is {status} and waits for {task['open_dependencies']} others; it cannot be {target} "
            f"before them: {', '.join(waits_for)}{', …' if len(waits_for) < task['open_dependencies'] else ''}",
            field="status",
            status=status,
            blockedByTaskIds=waits_for,
        )


def _steps(current: Status, target: Status) -> Iterator[Status]:
    """Yield the transitions between two statuses: a late report passes through those in between, for their times."""
    if current is target:
        return
    if current is Status.BLOCKED and target in (Status.RUNNING, Status.COMPLETED):
        yield Status.PENDING
    if target is Status.COMPLETED and current is not Status.RUNNING:
        yield Status.RUNNING
    yield target
