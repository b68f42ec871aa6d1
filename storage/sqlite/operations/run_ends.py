"""Ends of runs: all of them by `end`, whatever the outcome, also of runs that a dead server left open."""

import sqlite3
from collections.abc import Collection

from server.errors import Code
from storage.records.masked import MaskedText
from storage.records.outcomes import Interruption, Pause, RunOutcome, TurnEnd, Wait
from storage.records.recovery import Recovery
from storage.records.states import CUT_OFF, ENDED, LOST, SUBTASKS, Status
from storage.records.tasks import Run
from storage.records.unwritten import Unwritten
from storage.sqlite.operations.calls import bring_end, keep_output
from storage.sqlite.operations.cancellation import cancel_made, close_cancelled
from storage.sqlite.operations.runs import append_events, leftovers
from storage.sqlite.relations import folder_locks, subtasks
from storage.sqlite.transitions import attempts
from storage.sqlite.transitions.status import has_waiting_call, held, set_status
from storage.sqlite.transitions.turns import close_turn, cut_off_calls


def end(db: sqlite3.Connection, run: Run, outcome: RunOutcome, ran_us: int, at: int) -> Status:
    """End a run, and do with its task what the outcome says; a cancellation requested meanwhile takes precedence.

    `ran_us` is its microseconds of work. Returns the task's status.
    """
    if isinstance(outcome, Interruption):
        return interrupt(db, run, outcome, ran_us, at)
    task = held(db, run) if outcome is Pause.SUSPENDED else _back_at_work(db, run, at)
    _close(db, run, _word(outcome), ran_us, at)
    if task["cancel_requested"]:
        return close_cancelled(db, task, at)
    if isinstance(outcome, TurnEnd):
        return _end_turn(db, run, task, outcome, at)
    status, reason = _after(db, task, outcome, at)
    if task["status"] != status:  # one whose process has stayed waits already
        set_status(db, task, status, at, blocked_reason=reason)
    return status


def interrupt(db: sqlite3.Connection, run: Run, how: Interruption, ran_us: int, at: int) -> Status:
    """End an interrupted run: it fails if it was in the middle of a call, otherwise another run continues.

    An interrupted call is reported as such and never silently repeated. Work bound to a process is lost with the
    process. The task's `onInterrupt` may grant another attempt.
    """
    held(db, run)
    (bound,) = db.execute("SELECT bound FROM runs WHERE task = ? AND fence = ?", (run.seq, run.fence)).fetchone()
    if not cut_off_calls(db, run.seq, run.turn, at, f"{CUT_OFF} when {how.by}") and not bound:
        return end(db, run, Pause.SUSPENDED, ran_us, at)
    task = _back_at_work(db, run, at)
    if not task["cancel_requested"] and (kind := attempts.queue_another_attempt(db, task, run, how.by, at)):
        _close(db, run, "interrupted", ran_us, at)
        if kind == "retry":
            cancel_made(db, run, at)
        return Status.PENDING
    message = f"{how.by} while this task was at work; what it had done so far is kept, nothing was repeated"
    failed = TurnEnd(Status.FAILED, Code.INTERRUPTED, MaskedText(f"{message}{attempts.why_not(db, task, run)}"))
    return end(db, run, failed, ran_us, at)


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


def abandon(db: sqlite3.Connection, task_ids: Collection[str], at: int) -> None:
    """End the runs of cancelled tasks that no process works on."""
    for leftover in leftovers(db):
        if leftover.run.task_id in task_ids and held(db, leftover.run)["cancel_requested"]:
            end(db, leftover.run, TurnEnd(Status.CANCELLED), 0, at)


def recover(db: sqlite3.Connection, at: int) -> Recovery:
    """Settle the open runs of a dead server, once its processes are gone.

    A run in the middle of a call failed; one between two calls is resumed. Tasks that need literal secrets, which only
    the dead server's memory held, are blocked until these are sent again.
    """
    recovery = Recovery([], [], [])
    for leftover in leftovers(db):
        ended = end(db, leftover.run, Interruption(), 0, at) in ENDED
        (recovery.interrupted if ended else recovery.resumed).append(leftover.run.task_id)
    for row in db.execute(
        """SELECT t.* FROM tasks t INDEXED BY tasks_queue WHERE t.status = 'pending' AND t.agent <> 'none'
           AND EXISTS (SELECT 1 FROM secret_names s
               WHERE s.task = t.seq AND s.turn = t.turn AND s.source = 'literal')"""
    ).fetchall():
        set_status(db, row, Status.BLOCKED, at, blocked_reason=LOST)
        recovery.blocked.append(row["id"])
    return recovery


def _end_turn(db: sqlite3.Connection, run: Run, task: sqlite3.Row, outcome: TurnEnd, at: int) -> Status:
    """End a run's turn; unless it completed, the sub-tasks that its agent created are cancelled."""
    close_turn(db, task, outcome, at)
    if outcome.status is not Status.COMPLETED:
        cancel_made(db, run, at)
    return outcome.status


def _after(db: sqlite3.Connection, task: sqlite3.Row, outcome: Pause | Wait, at: int) -> tuple[Status, str | None]:
    """Return the status of a task whose turn goes on later, and why it is blocked, if it is.

    It is queued at once if what it would wait for has come meanwhile.
    """
    match outcome:
        case Wait(until):
            waits = subtasks.await_ends(db, task, until, at)
            return (Status.BLOCKED, SUBTASKS) if waits else (Status.PENDING, None)
        case Pause.BLOCKED:
            return Status.BLOCKED, LOST
        case Pause.PAUSED:
            return (Status.PENDING if task["calls_left"] else Status.PAUSED), None
        case Pause.SUSPENDED:
            return (Status.AWAITING_APPROVAL if has_waiting_call(db, task["seq"]) else Status.PENDING), None


def _word(outcome: TurnEnd | Pause | Wait) -> str:
    """Return the word by which an outcome is recorded with its run."""
    match outcome:
        case TurnEnd():
            return outcome.status.value
        case Pause():
            return outcome.value
        case Wait():
            return "waiting"


def _back_at_work(db: sqlite3.Connection, run: Run, at: int) -> sqlite3.Row:
    """Return the task of a run that is about to end, set back to `running` if its process stayed for a decision."""
    task = held(db, run)
    if task["status"] == Status.AWAITING_APPROVAL:
        set_status(db, task, Status.RUNNING, at)
    return held(db, run)


def _close(db: sqlite3.Connection, run: Run, outcome: str, ran_us: int, at: int) -> None:
    """Close the run, and add its microseconds of work to the turn's."""
    db.execute(
        "UPDATE runs SET ended_at = ?, outcome = ?, processes = NULL WHERE task = ? AND fence = ?",
        (at, outcome, run.seq, run.fence),
    )
    db.execute("UPDATE turns SET ran_us = ran_us + ? WHERE task = ? AND number = ?", (ran_us, run.seq, run.turn))
