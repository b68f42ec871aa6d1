"""Runs: claiming a task, and recording the run's work."""

import sqlite3
from collections.abc import Mapping, Sequence

from storage.records.calls import Call
from storage.records.events import RunEvent
from storage.records.queue import NO_DEMAND, SlotDemand
from storage.records.recovery import Leftover
from storage.records.states import CallStatus, Status
from storage.records.tasks import Claim, Principal, Run
from storage.sqlite import rows
from storage.sqlite.operations import queue
from storage.sqlite.operations.calls import of_turn
from storage.sqlite.relations import folder_locks, task_secrets
from storage.sqlite.relations.dependencies import family
from storage.sqlite.transitions.status import (
    at_work,
    count_output,
    held,
    log_all,
    owned,
    set_status,
    start,
)
from storage.sqlite.transitions.turns import secrets_of


def claim(db: sqlite3.Connection, owner: str, at: int, demand: SlotDemand = NO_DEMAND) -> Claim | None:
    """Start a run of the next task in the queue; None when none can start."""
    row = queue.first_with_room(db, demand, at)
    if row is None:
        return None
    start(db, row, at, anew=row["started_at"] is None)
    db.execute("UPDATE tasks SET fence = fence + 1 WHERE seq = ?", (row["seq"],))
    run = Run(row["seq"], row["id"], row["turn"], row["fence"] + 1)
    db.execute(
        "INSERT INTO runs (task, turn, fence, owner, started_at) VALUES (?, ?, ?, ?, ?)",
        (run.seq, run.turn, run.fence, owner, at),
    )
    return _claim(db, run)


def record_processes(db: sqlite3.Connection, run: Run, processes: Sequence[Mapping[str, object]], sandbox: str) -> None:
    """Record the run's processes, so that the next server can find them if this one dies, and their sandbox tier."""
    held(db, run)
    db.execute("UPDATE tasks SET sandbox = ? WHERE seq = ?", (sandbox, run.seq))
    db.execute(
        "UPDATE runs SET processes = ? WHERE task = ? AND fence = ?", (rows.dumps(processes), run.seq, run.fence)
    )


def set_process_bound(db: sqlite3.Connection, run: Run, bound: bool) -> None:
    """Record whether the run's work would be lost with its process."""
    held(db, run)
    db.execute("UPDATE runs SET bound = ? WHERE task = ? AND fence = ?", (bound, run.seq, run.fence))


def wait_for_decision(db: sqlite3.Connection, run: Run, at: int) -> tuple[bool, list[Call]]:
    """Set a run whose process must stay to wait for a decision, unless it can still continue with something.

    Returns whether it waits, and the calls of its turn.
    """
    task = held(db, run)
    calls = of_turn(db, run)
    waits = any(call.status is CallStatus.AWAITING_APPROVAL for call in calls)
    (since,) = db.execute("SELECT started_at FROM runs WHERE task = ? AND fence = ?", (run.seq, run.fence)).fetchone()
    goes_on = any(call.status is CallStatus.EXECUTING or _is_let_go(call, since) for call in calls)
    waits = waits and not goes_on and not task["cancel_requested"]
    if waits and task["status"] == Status.RUNNING:
        set_status(db, task, Status.AWAITING_APPROVAL, at)
    return waits, calls


def append_events(db: sqlite3.Connection, run: Run, events: list[RunEvent], at: int) -> int:
    """Append events to the log of the run's task; returns the number of the last one."""
    held(db, run)
    for event in events:
        if "callId" not in event.data:  # output of a call is counted with the call
            count_output(db, run.seq, event.data.get("text") or event.data.get("description") or "")
    return log_all(db, run.seq, events, at)


def at_work_beneath(db: sqlite3.Connection, principal: Principal, task_id: str) -> list[str]:
    """Return the ids of the task and of all beneath it that have an open run, the task itself first."""
    tasks = family(db, owned(db, principal, task_id)["seq"])
    return [task["id"] for task in tasks if at_work(db, task)]


def leftovers(db: sqlite3.Connection) -> list[Leftover]:
    """Return all open runs: at a server's start, those that a dead server left."""
    found = db.execute(
        """SELECT r.task, t.id, r.turn, r.fence, r.processes FROM runs r CROSS JOIN tasks t ON t.seq = r.task
           WHERE r.ended_at IS NULL"""
    ).fetchall()
    return [
        Leftover(Run(*tuple(row)[:4]), rows.loads(row["processes"]) or [], folder_locks.of(db, row["task"]))
        for row in found
    ]


def _claim(db: sqlite3.Connection, run: Run) -> Claim:
    task = db.execute(
        f"SELECT {rows.TASK_COLUMNS} FROM {rows.TASKS} WHERE t.seq = ?",
        (run.seq,),
    ).fetchone()
    turn = db.execute(
        f"SELECT {rows.TURN_COLUMNS} FROM turns WHERE task = ? AND number = ?",
        (run.seq, run.turn),
    ).fetchone()
    own = secrets_of(db, run.seq, run.turn)
    shared_from = task_secrets.shared_from(db, run.task_id)
    return Claim(run, rows.task(task), rows.turn(turn), own, folder_locks.of(db, run.seq), shared_from)


def _is_let_go(call: Call, since: int) -> bool:
    """Return whether a call was decided since `since`, the start of the run, and is still to be made.

    An older decision says nothing about this run: its agent may not ask for that call any more.
    """
    return call.status is CallStatus.PENDING and call.decided_at is not None and call.decided_at >= since
