"""Cancellation: the requested end of tasks, at once or once their runs have ended."""

import sqlite3

from storage.records.events import EventKind
from storage.records.outcomes import TurnEnd
from storage.records.states import ENDED, CallStatus, Status
from storage.records.tasks import CancellationResult, Principal, Run
from storage.sqlite.relations import subtasks
from storage.sqlite.relations.dependencies import family
from storage.sqlite.transitions.status import at_work, log, owned, set_call_status, set_status
from storage.sqlite.transitions.turns import close_turn


def cancel(db: sqlite3.Connection, principal: Principal, task_id: str, by: str, at: int) -> CancellationResult:
    """Request the end of a task and of everything beneath it, the task itself first.

    A running task stays `running` until its processes are gone.
    """
    tasks = family(db, owned(db, principal, task_id)["seq"])
    stopping = [task["id"] for task in tasks if _cancel(db, task, by, at) is Status.RUNNING]
    return CancellationResult(Status(owned(db, principal, task_id)["status"]), stopping)


def cancel_made(db: sqlite3.Connection, run: Run, at: int) -> None:
    """Cancel the sub-tasks that the agent of a run's task created."""
    for made in subtasks.made_by(db, run.seq):
        _cancel(db, made, f"the end of {run.task_id}", at)


def close_cancelled(db: sqlite3.Connection, task: sqlite3.Row, at: int) -> Status:
    """End the turn of a cancelled task; returns its status."""
    close_turn(db, task, TurnEnd(Status.CANCELLED), at)
    return Status.CANCELLED


def _cancel(db: sqlite3.Connection, task: sqlite3.Row, by: str, at: int) -> Status:
    status = Status(task["status"])
    if status in ENDED:
        return status
    if not at_work(db, task):
        return close_cancelled(db, task, at)
    if not task["cancel_requested"]:
        db.execute("UPDATE tasks SET cancel_requested = 1, updated_at = ? WHERE seq = ?", (at, task["seq"]))
        _close_waiting(db, task, at, f"cancelled by {by}")
        if status is not Status.RUNNING:  # its process has stayed for a decision
            set_status(db, task, Status.RUNNING, at)
        log(db, task["seq"], EventKind.STATUS, {"status": Status.RUNNING, "cancelRequested": True}, at)
    return Status.RUNNING


def _close_waiting(db: sqlite3.Connection, task: sqlite3.Row, at: int, reason: str) -> None:
    for call in db.execute(
        "SELECT * FROM calls WHERE task = ? AND status = 'awaiting_approval'", (task["seq"],)
    ).fetchall():
        set_call_status(db, call, CallStatus.CANCELLED, at, reason=reason)
