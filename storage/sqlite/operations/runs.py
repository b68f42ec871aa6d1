"""Runs: claiming a task, and ending the run."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence

from server.errors import Code
from storage.records.calls import Call
from storage.records.events import EventKind, NewEvent
from storage.records.queue import NO_DEMAND, SlotDemand
from storage.records.recovery import Leftover, Recovery
from storage.records.states import CUT_OFF, ENDED, LOST, SERVER_ENDED, SUBTASKS, CallStatus, Status
from storage.records.tasks import CancellationResult, Claim, Principal, Run, RunEnd
from storage.records.unwritten import Unwritten
from storage.sqlite import rows
from storage.sqlite.operations import queue
from storage.sqlite.operations.calls import bring_end, keep_output, of_turn
from storage.sqlite.relations import folder_locks, subtasks, task_secrets
from storage.sqlite.relations.dependencies import family
from storage.sqlite.transitions import attempts
from storage.sqlite.transitions.status import (
    at_work,
    count_output,
    held,
    log,
    log_all,
    owned,
    set_call_status,
    set_status,
    start,
)
from storage.sqlite.transitions.turns import close_turn, cut_off_calls, secrets_of


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


def append_events(db: sqlite3.Connection, run: Run, events: list[NewEvent], at: int) -> int:
    """Append events to the log of the run's task; returns the number of the last one."""
    held(db, run)
    for event in events:
        if "callId" not in event.data:  # output of a call is counted with the call
            count_output(db, run.seq, event.data.get("text") or event.data.get("description") or "")
    return log_all(db, run.seq, events, at)


def suspend(db: sqlite3.Connection, run: Run, ran_us: int, at: int) -> Status:
    """End a run that waits for a decision; the task is queued at once if the decision has come meanwhile."""
    task = held(db, run)
    _end(db, run, "suspended", ran_us, at)
    if task["cancel_requested"]:
        return _cancelled(db, task, at)
    waits = db.execute("SELECT 1 FROM calls WHERE task = ? AND status = 'awaiting_approval'", (run.seq,)).fetchone()
    target = Status.AWAITING_APPROVAL if waits else Status.PENDING
    if task["status"] != target:  # one whose process has stayed waits already
        set_status(db, task, target, at)
    return target


def pause(db: sqlite3.Connection, run: Run, ran_us: int, at: int) -> Status:
    """End a run whose call budget is used up; the task is queued at once if the budget was raised meanwhile."""
    task = _back_at_work(db, run, at)
    _end(db, run, "paused", ran_us, at)
    if task["cancel_requested"]:
        return _cancelled(db, task, at)
    target = Status.PENDING if task["calls_left"] else Status.PAUSED
    set_status(db, task, target, at)
    return target


def block(db: sqlite3.Connection, run: Run, ran_us: int, at: int) -> Status:
    """End a run that cannot continue because the values of its secrets are lost."""
    task = _back_at_work(db, run, at)
    _end(db, run, "blocked", ran_us, at)
    if task["cancel_requested"]:
        return _cancelled(db, task, at)
    set_status(db, task, Status.BLOCKED, at, blocked_reason=LOST)
    return Status.BLOCKED


def wait(db: sqlite3.Connection, run: Run, awaited: Mapping[str, int], ran_us: int, at: int) -> Status:
    """End a run that waits for sub-tasks, each until a time; the task is queued at once if none of them is open."""
    task = _back_at_work(db, run, at)
    is_open = subtasks.await_ends(db, run, awaited, at)
    _end(db, run, "waiting", ran_us, at)
    if task["cancel_requested"]:
        return _cancelled(db, task, at)
    if is_open:
        set_status(db, task, Status.BLOCKED, at, blocked_reason=SUBTASKS)
        return Status.BLOCKED
    set_status(db, task, Status.PENDING, at)
    return Status.PENDING


def finish(db: sqlite3.Connection, run: Run, end: RunEnd, ran_us: int, at: int) -> Status:
    """End a run and its task's turn; a cancellation requested meanwhile takes precedence.

    Unless the turn completed, the sub-tasks that its agent created are cancelled.
    """
    task = _back_at_work(db, run, at)
    _end(db, run, end.status, ran_us, at)
    if task["cancel_requested"]:
        return _cancelled(db, task, at)
    close_turn(db, task, end, at)
    if end.status is not Status.COMPLETED:
        _cancel_made(db, run, at)
    return end.status


def interrupt(db: sqlite3.Connection, run: Run, ran_us: int, at: int, by: str = SERVER_ENDED) -> Status:
    """End an interrupted run: it fails if it was in the middle of a call, otherwise another run continues.

    An interrupted call is reported as such and never silently repeated. Work bound to a process is lost with the
    process. The task's `onInterrupt` may grant another attempt.
    """
    held(db, run)
    (bound,) = db.execute("SELECT bound FROM runs WHERE task = ? AND fence = ?", (run.seq, run.fence)).fetchone()
    if not cut_off_calls(db, run.seq, run.turn, at, f"{CUT_OFF} when {by}") and not bound:
        return suspend(db, run, ran_us, at)
    task = _back_at_work(db, run, at)
    if not task["cancel_requested"] and (how := attempts.queue_another_attempt(db, task, run, by, at)):
        _end(db, run, "interrupted", ran_us, at)
        if how == "retry":
            _cancel_made(db, run, at)
        return Status.PENDING
    message = f"{by} while this task was at work; what it had done so far is kept, nothing was repeated"
    reason = attempts.why_not(db, task, run)
    return finish(db, run, RunEnd(Status.FAILED, Code.INTERRUPTED, f"{message}{reason}"), ran_us, at)


def write_unwritten(db: sqlite3.Connection, run: Run, unwritten: Unwritten, at: int) -> None:
    """Write the data that a run about to end could not write before, or does not know to be written."""
    held(db, run)
    if unwritten.folder:
        folder_locks.note(db, run.task_id, unwritten.folder)
    if unwritten.events:
        append_events(db, run, unwritten.events, at)
    for call_id, (output, dropped) in unwritten.outputs.items():
        keep_output(db, run, call_id, output, dropped)
    for call_id, result in unwritten.results.items():
        bring_end(db, run, call_id, result, at)


def cancel(db: sqlite3.Connection, principal: Principal, task_id: str, by: str, at: int) -> CancellationResult:
    """Request the end of a task and of everything beneath it, the task itself first.

    A running task stays `running` until its processes are gone.
    """
    tasks = family(db, owned(db, principal, task_id)["seq"])
    stopping = [task["id"] for task in tasks if _cancel(db, task, by, at) is Status.RUNNING]
    return CancellationResult(Status(owned(db, principal, task_id)["status"]), stopping)


def at_work_beneath(db: sqlite3.Connection, principal: Principal, task_id: str) -> list[str]:
    """Return the ids of the task and of all beneath it that have an open run, the task itself first."""
    tasks = family(db, owned(db, principal, task_id)["seq"])
    return [task["id"] for task in tasks if at_work(db, task)]


def abandon(db: sqlite3.Connection, task_ids: Collection[str], at: int) -> None:
    """End the runs of cancelled tasks that no process works on."""
    for leftover in leftovers(db):
        if leftover.run.task_id in task_ids and held(db, leftover.run)["cancel_requested"]:
            task = _back_at_work(db, leftover.run, at)
            _end(db, leftover.run, Status.CANCELLED, 0, at)
            _cancelled(db, task, at)


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


def recover(db: sqlite3.Connection, at: int) -> Recovery:
    """Settle the open runs of a dead server, once its processes are gone.

    A run in the middle of a call failed; one between two calls is resumed. Tasks that need literal secrets, which only
    the dead server's memory held, are blocked until these are sent again.
    """
    recovery = Recovery([], [], [])
    for leftover in leftovers(db):
        ended = interrupt(db, leftover.run, 0, at) in ENDED
        (recovery.interrupted if ended else recovery.resumed).append(leftover.run.task_id)
    for row in db.execute(
        """SELECT t.* FROM tasks t INDEXED BY tasks_queue WHERE t.status = 'pending' AND t.agent <> 'none'
           AND EXISTS (SELECT 1 FROM secret_names s
               WHERE s.task = t.seq AND s.turn = t.turn AND s.source = 'literal')"""
    ).fetchall():
        set_status(db, row, Status.BLOCKED, at, blocked_reason=LOST)
        recovery.blocked.append(row["id"])
    return recovery


def _cancel(db: sqlite3.Connection, task: sqlite3.Row, by: str, at: int) -> Status:
    status = Status(task["status"])
    if status in ENDED:
        return status
    if not at_work(db, task):
        return _cancelled(db, task, at)
    if not task["cancel_requested"]:
        db.execute("UPDATE tasks SET cancel_requested = 1, updated_at = ? WHERE seq = ?", (at, task["seq"]))
        _close_waiting(db, task, at, f"cancelled by {by}")
        if status is not Status.RUNNING:  # its process has stayed for a decision
            set_status(db, task, Status.RUNNING, at)
        log(db, task["seq"], EventKind.STATUS, {"status": Status.RUNNING, "cancelRequested": True}, at)
    return Status.RUNNING


def _cancel_made(db: sqlite3.Connection, run: Run, at: int) -> None:
    """Cancel the sub-tasks that the agent of a run's task created."""
    for made in subtasks.made_by(db, run.seq):
        _cancel(db, made, f"the end of {run.task_id}", at)


def _back_at_work(db: sqlite3.Connection, run: Run, at: int) -> sqlite3.Row:
    """Return the task of a run that is about to end, set back to `running` if its process stayed for a decision."""
    task = held(db, run)
    if task["status"] == Status.AWAITING_APPROVAL:
        set_status(db, task, Status.RUNNING, at)
    return held(db, run)


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


def _end(db: sqlite3.Connection, run: Run, outcome: str, ran_us: int, at: int) -> None:
    """Close the run, and add its microseconds of work to the turn's."""
    db.execute(
        "UPDATE runs SET ended_at = ?, outcome = ?, processes = NULL WHERE task = ? AND fence = ?",
        (at, outcome, run.seq, run.fence),
    )
    db.execute("UPDATE turns SET ran_us = ran_us + ? WHERE task = ? AND number = ?", (ran_us, run.seq, run.turn))


def _cancelled(db: sqlite3.Connection, task: sqlite3.Row, at: int) -> Status:
    close_turn(db, task, RunEnd(Status.CANCELLED), at)
    return Status.CANCELLED


def _close_waiting(db: sqlite3.Connection, task: sqlite3.Row, at: int, reason: str) -> None:
    for call in db.execute(
        "SELECT * FROM calls WHERE task = ? AND status = 'awaiting_approval'", (task["seq"],)
    ).fetchall():
        set_call_status(db, call, CallStatus.CANCELLED, at, reason=reason)
