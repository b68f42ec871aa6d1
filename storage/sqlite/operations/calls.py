"""Tool calls of an agent: announcing, approving, executing and ending them."""

import json
import sqlite3
from collections.abc import Sequence

from server.errors import Code, RemitError
from storage.records.calls import (
    HIDDEN,
    KEYED,
    Call,
    CallResult,
    Circumstances,
    Decision,
    DecisionResult,
    NewCall,
)
from storage.records.events import EventKind
from storage.records.states import CALL_ENDED, LOST, CallStatus, Status
from storage.records.tasks import Principal, Run
from storage.sqlite import rows
from storage.sqlite.connection import changes_of
from storage.sqlite.operations import grants
from storage.sqlite.transitions.status import (
    at_work,
    count_output,
    has_waiting_call,
    held,
    log,
    owned,
    set_call_status,
    set_status,
)

EXPIRED = "expired"
UNASKED = "the agent did not ask"
TAKEN_BACK = "the agent took it back"


def announce(db: sqlite3.Connection, run: Run, new: Sequence[NewCall], at: int) -> list[Call]:
    """Record the turn's calls, or find them again after a restart; returns all of them in order.

    A call is bound to its arguments: the same key with others is a CONFLICT. Where they can no longer be compared, the
    call is asked about again.
    """
    held(db, run)
    found = db.execute("SELECT key, id, digest, is_past FROM calls WHERE task = ? AND turn = ?", (run.seq, run.turn))
    made = found.fetchall()
    known = {row["key"]: (row["id"], row["digest"]) for row in made if not row["is_past"]}
    past = len(made) - len(known)
    for call in new:
        if call.key not in known:
            _insert(db, run, call, past + len(known), at)
        call_id, digest = known.setdefault(call.key, (call.id, call.digest))
        if digest != call.digest:
            _announce_anew(db, run, call_id, call, at)
    return of_turn(db, run)


def amend(db: sqlite3.Connection, run: Run, changed: NewCall, at: int) -> Call:
    """Replace the arguments of an announced call; returns it.

    Raises RemitError (CONFLICT) for a call that has begun or was decided, because the decision was about the former
    arguments.
    """
    held(db, run)
    row = db.execute(
        f"""SELECT * FROM calls WHERE task = ? AND turn = ? AND key = ?
            AND status = '{CallStatus.PENDING}' AND outcome IS NULL""",
        (run.seq, run.turn, changed.key),
    ).fetchone()
    if row is None:
        raise RemitError(Code.CONFLICT, f"the call {changed.key!r} has begun, and keeps the arguments it was given")
    _rewrite(db, row, changed, at)
    return _read(db, row["id"])


def of_turn(db: sqlite3.Connection, run: Run) -> list[Call]:
    """Return the calls of the run's turn, in order, without those set aside by another attempt."""
    found = db.execute(
        f"SELECT {rows.CALL_COLUMNS} FROM calls WHERE task = ? AND turn = ? AND NOT is_past ORDER BY position",
        (run.seq, run.turn),
    )
    return [rows.call(row) for row in found]


def begin(
    db: sqlite3.Connection,
    run: Run,
    call_id: str,
    expires_at: int | None,
    at: int,
    *,
    circumstances: Circumstances | None = None,
    asked: bool = True,
    reads: bool = False,
    hidden: str | None = None,
) -> Call:
    """Let a call proceed, or make it wait for approval: the approval gate that every call passes.

    The call stays `pending` if the task's call budget is used up. A call that an agent program makes without having
    `asked` is recorded, not decided; one that only `reads` the task's own results needs no decision. An approval counts
    only under the same `circumstances`. `hidden` is the reason why nobody can decide the call: it is cancelled without
    asking.
    """
    task = held(db, run)
    row = _find(db, run.seq, call_id)
    if row["status"] == CallStatus.PENDING and task["calls_left"] != 0:
        if not asked:
            set_call_status(db, row, CallStatus.EXECUTING, at, reason=UNASKED)
        elif task["auto_execute"] or reads:
            set_call_status(db, row, CallStatus.EXECUTING, at)
        elif hidden:
            set_call_status(db, row, CallStatus.CANCELLED, at, outcome=HIDDEN, decided_at=at, reason=hidden)
            return _read(db, call_id)
        elif _is_approved(db, task, row, circumstances.digest if circumstances else None, at):
            set_call_status(db, row, CallStatus.EXECUTING, at)
        else:
            _ask(db, row, circumstances, expires_at, at)
            return _read(db, call_id)
        db.execute("UPDATE tasks SET calls_left = calls_left - 1 WHERE seq = ?", (run.seq,))
        if task["status"] == Status.AWAITING_APPROVAL:  # while another call waits, this one is made
            set_status(db, task, Status.RUNNING, at)
    return _read(db, call_id)


def end(db: sqlite3.Connection, run: Run, call_id: str, result: CallResult, at: int) -> None:
    """Record the result of an executed call; one that never began was withdrawn by its agent, and is cancelled."""
    task = held(db, run)
    call = _find(db, run.seq, call_id)
    if call["status"] in (CallStatus.PENDING, CallStatus.AWAITING_APPROVAL):
        set_call_status(db, call, CallStatus.CANCELLED, at, output=result.output, reason=TAKEN_BACK)
        _resume(db, task, False, True, at)
        return
    set_call_status(
        db,
        call,
        result.status,
        at,
        output=result.output,
        dropped=result.dropped,
        exit_status=result.exit_status,
        ran_us=result.ran_us,
    )


def bring_end(db: sqlite3.Connection, run: Run, call_id: str, result: CallResult, at: int) -> None:
    """Record a result unless it is recorded already: the run may have been stopped while it was written."""
    if _find(db, run.seq, call_id)["status"] not in CALL_ENDED:
        end(db, run, call_id, result, at)


def keep_output(db: sqlite3.Connection, run: Run, call_id: str, output: str, dropped: int) -> None:
    """Store the output of a call that is being interrupted; ending the run sets its status."""
    held(db, run)
    db.execute(
        "UPDATE calls SET output = ?, dropped = ? WHERE id = ? AND task = ?", (output, dropped, call_id, run.seq)
    )
    count_output(db, run.seq, output)


def get(db: sqlite3.Connection, principal: Principal, task_id: str, call_id: str) -> Call:
    """Return one call of a task. Raises RemitError (NOT_FOUND)."""
    row = _find(db, owned(db, principal, task_id)["seq"], call_id)
    return _read(db, row["id"])


def decide(
    db: sqlite3.Connection,
    principal: Principal,
    task_id: str,
    call_id: str,
    decision: Decision,
    *,
    secrets_at_hand: bool,
    at: int,
) -> DecisionResult:
    """Approve or refuse a waiting call, once: the same decision again is repeated, a different one is a CONFLICT.

    The decision, its event and its effect on the task are one transaction. Raises RemitError: NOT_FOUND, CONFLICT,
    APPROVAL_EXPIRED, or VALIDATION_ERROR for `proceed_always` on a call that can only be approved once.
    """
    task = owned(db, principal, task_id)
    row = _find(db, task["seq"], call_id)
    if row["outcome"] is not None:
        _same_again(row, decision)
        return DecisionResult(_read(db, call_id), Status(task["status"]), repeated=True)
    if row["status"] != CallStatus.AWAITING_APPROVAL:
        raise RemitError(
            Code.CONFLICT, f"the call is {row['status']}, it does not wait for approval", status=row["status"]
        )
    if row["expires_at"] is not None and row["expires_at"] <= at:
        raise _too_late()
    if decision.outcome == "proceed_always" and not json.loads(row["similar"]):
        raise RemitError(
            Code.VALIDATION_ERROR,
            "outcome: a secret is masked in this call, so nobody can tell which calls are similar to it, and nothing "
            "was decided: use proceed_once",
            field="outcome",
        )
    _decide(db, task, row, decision, at)
    status = _resume(db, task, decision.outcome != "cancel", secrets_at_hand, at)
    return DecisionResult(_read(db, call_id), status, repeated=False)


def expire(db: sqlite3.Connection, at: int) -> list[str]:
    """Refuse waiting calls whose time has passed; returns the ids of their tasks."""
    expired = db.execute(
        "SELECT * FROM calls INDEXED BY calls_expiring WHERE status = 'awaiting_approval' AND expires_at <= ?",
        (at,),
    ).fetchall()
    tasks = []
    for row in expired:
        changes = {"outcome": EXPIRED, "decided_at": at, "reason": "nobody decided in time"}
        set_call_status(db, row, CallStatus.CANCELLED, at, **changes)
        task = db.execute("SELECT * FROM tasks WHERE seq = ?", (row["task"],)).fetchone()
        _resume(db, task, False, True, at)
        tasks.append(task["id"])
    return tasks


def next_expiry(db: sqlite3.Connection) -> int | None:
    """Return when the next waiting call expires; None if none does."""
    (at,) = db.execute(
        """SELECT min(expires_at) FROM calls INDEXED BY calls_expiring
           WHERE status = 'awaiting_approval' AND expires_at IS NOT NULL"""
    ).fetchone()
    return at  # type: ignore[no-any-return]


def _insert(db: sqlite3.Connection, run: Run, call: NewCall, position: int, at: int) -> None:
    values = {
        "id": call.id,
        "task": run.seq,
        "turn": run.turn,
        "key": call.key,
        "position": position,
        "tool_name": call.tool_name,
        "args": rows.dumps(call.args),
        "digest": call.digest,
        "similar": rows.dumps(list(call.similar)),
        "description": call.description,
        "status": CallStatus.PENDING,
    }
    marks = ", ".join(f":{name}" for name in values)
    db.execute(f"INSERT INTO calls ({', '.join(values)}) VALUES ({marks})", values)
    data = {"callId": call.id, "toolName": call.tool_name, "status": CallStatus.PENDING, "args": call.args}
    log(db, run.seq, EventKind.TOOL_CALL, data, at)


def _find(db: sqlite3.Connection, seq: int, call_id: str) -> sqlite3.Row:
    row = db.execute("SELECT * FROM calls WHERE id = ? AND task = ?", (call_id, seq)).fetchone()
    if row is None:
        message = f"the task has no call {call_id!r}; pendingApprovals of get_task has those that wait"
        raise RemitError(Code.NOT_FOUND, message, callId=call_id)
    return row  # type: ignore[no-any-return]


def _read(db: sqlite3.Connection, call_id: str) -> Call:
    row = db.execute(f"SELECT {rows.CALL_COLUMNS} FROM calls WHERE id = ?", (call_id,)).fetchone()
    return rows.call(row)


def _announce_anew(db: sqlite3.Connection, run: Run, call_id: str, call: NewCall, at: int) -> None:
    """Replace the arguments of a call that can no longer be compared, and forget its decision, unless it has begun.

    Raises RemitError (CONFLICT) if they can be compared: they differ.
    """
    row = _find(db, run.seq, call_id)
    if not row["digest"].startswith(KEYED):
        raise RemitError(Code.CONFLICT, f"the call {call_id} was announced with other arguments")
    if row["status"] in (CallStatus.PENDING, CallStatus.AWAITING_APPROVAL):
        db.execute("UPDATE calls SET outcome = NULL, decided_by = NULL, decided_at = NULL WHERE id = ?", (call_id,))
        if row["status"] == CallStatus.AWAITING_APPROVAL:
            set_call_status(db, row, CallStatus.PENDING, at, outcome=None)
        _rewrite(db, row, call, at)


def _rewrite(db: sqlite3.Connection, row: sqlite3.Row, call: NewCall, at: int) -> None:
    """Replace a call's arguments and everything derived from them."""
    db.execute(
        "UPDATE calls SET args = ?, digest = ?, similar = ?, description = ? WHERE id = ?",
        (rows.dumps(call.args), call.digest, rows.dumps(list(call.similar)), call.description, row["id"]),
    )
    data = {"callId": row["id"], "toolName": call.tool_name, "status": CallStatus.PENDING, "args": call.args}
    log(db, row["task"], EventKind.TOOL_CALL, data, at)


def _ask(
    db: sqlite3.Connection, call: sqlite3.Row, circumstances: Circumstances | None, expires_at: int | None, at: int
) -> None:
    """Make a call wait for approval, or for a new one if its circumstances are no longer those approved."""
    changes: dict[str, object] = {"requested_at": at, "expires_at": expires_at}
    changes |= {"outcome": None, "decided_by": None, "decided_at": None, "reason": None}
    if circumstances:
        approved = db.execute(
            """SELECT content FROM circumstances WHERE task = ? AND approved_at IS NOT NULL
               ORDER BY approved_at DESC LIMIT 1""",
            (call["task"],),
        ).fetchone()
        differs = circumstances.differ(rows.loads(approved["content"]) if approved else None)
        changes |= {"circumstances": circumstances.digest, "differs": rows.dumps(list(differs))}
        db.execute(
            "INSERT OR IGNORE INTO circumstances (task, digest, content) VALUES (?, ?, ?)",
            (call["task"], circumstances.digest, rows.dumps(circumstances.content)),
        )
    set_call_status(db, call, CallStatus.AWAITING_APPROVAL, at, **changes)
    changes_of(db).expiring |= expires_at is not None


def _is_approved(db: sqlite3.Connection, task: sqlite3.Row, call: sqlite3.Row, digest: str | None, at: int) -> bool:
    """Return whether the call's own approval or a grant lets it proceed; grants under other circumstances end."""
    grants.end_others(db, task, digest, at)
    if call["outcome"] is not None:
        return bool(call["circumstances"] == digest)
    return grants.cover(db, task, call, at)


def _same_again(call: sqlite3.Row, decision: Decision) -> None:
    if call["outcome"] == EXPIRED:
        raise _too_late()
    if call["outcome"] != decision.outcome:
        raise RemitError(Code.CONFLICT, f"the call was decided before: {call['outcome']}", outcome=call["outcome"])


def _too_late() -> RemitError:
    return RemitError(Code.APPROVAL_EXPIRED, "the time to decide this call has passed; it counts as cancelled")


def _decide(db: sqlite3.Connection, task: sqlite3.Row, call: sqlite3.Row, decision: Decision, at: int) -> None:
    refused = decision.outcome == "cancel"
    set_call_status(
        db,
        call,
        CallStatus.CANCELLED if refused else CallStatus.PENDING,
        at,
        outcome=decision.outcome,
        decided_by=decision.by,
        decided_at=at,
        reason=decision.reason,
    )
    if not refused:
        db.execute(
            "UPDATE circumstances SET approved_at = ? WHERE task = ? AND digest = ?",
            (at, task["seq"], call["circumstances"]),
        )
    if decision.grant:
        grants.give(db, task, call, decision.grant, decision.by, at)


def _resume(db: sqlite3.Connection, task: sqlite3.Row, approved: bool, secrets_at_hand: bool, at: int) -> Status:
    """Queue the task once none of its calls waits; one with an open run continues by itself."""
    status = Status(task["status"])
    if status is Status.AWAITING_APPROVAL and at_work(db, task):
        set_status(db, task, Status.RUNNING, at)
        return Status.RUNNING
    if status is not Status.AWAITING_APPROVAL or has_waiting_call(db, task["seq"]):
        return status
    if approved and not secrets_at_hand:
        set_status(db, task, Status.BLOCKED, at, blocked_reason=LOST)
        return Status.BLOCKED
    set_status(db, task, Status.PENDING, at)
    return Status.PENDING
