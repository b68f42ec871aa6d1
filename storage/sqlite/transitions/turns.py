"""Turns: a message and its results, from its opening to its end."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from server.errors import Code
from storage.records.events import Event, EventKind
from storage.records.outcomes import TurnEnd
from storage.records.states import CallStatus, Status
from storage.records.tasks import Origin, Run, SecretSource, TurnUsage
from storage.sqlite import rows
from storage.sqlite.transitions.status import (
    close_calls,
    count_in_conversation,
    count_message,
    held,
    log,
    set_call_status,
    set_status,
)


def insert_turn(
    db: sqlite3.Connection, seq: int, number: int, message: str, secrets: Mapping[str, SecretSource], at: int
) -> None:
    """Insert a turn with its message and the names of its secrets."""
    (last_event,) = db.execute("SELECT last_event FROM tasks WHERE seq = ?", (seq,)).fetchone()
    db.execute(
        "INSERT INTO turns (task, number, message, first_event, created_at) VALUES (?, ?, ?, ?, ?)",
        (seq, number, message, last_event + 1, at),
    )
    db.executemany(
        "INSERT INTO secret_names VALUES (?, ?, ?, ?)",
        [(seq, number, name, source) for name, source in secrets.items()],
    )
    count_message(db, seq)


def close_turn(
    db: sqlite3.Connection,
    task: sqlite3.Row,
    end: TurnEnd,
    at: int,
    *,
    result: str | None = None,
    origin: Origin | None = None,
) -> None:
    """End a turn: close its open calls, store `result` or else its output, and set the task's status."""
    seq, turn = task["seq"], task["turn"]
    heard: list[Event] = []
    if task["fence"]:  # or no run has ever begun, to make a call or to say anything
        cut_off_calls(db, seq, turn, at, _cut_off_by(end))
        because = ": the task was cancelled" if end.status is Status.CANCELLED else ""
        close_calls(db, seq, turn, at, f"not reached{because}")
        heard = spoken(db, seq, turn, EventKind.CONTENT, EventKind.THOUGHT)
    answered = _joined([event for event in heard if event.kind == EventKind.CONTENT])
    content, said_at = answered if result is None else (result, at)
    thoughts = [event.data for event in heard if event.kind == EventKind.THOUGHT]
    db.execute(
        """UPDATE turns SET content = ?, content_at = ?, thoughts = ?, status = ?, ended_at = ?
           WHERE task = ? AND number = ?""",
        (content, said_at, rows.dumps(thoughts or None), end.status, at, seq, turn),
    )
    count_in_conversation(db, seq)
    error = (end.error_code, end.error or "") if end.error_code else None
    set_status(db, task, end.status, at, error=error, origin=origin, done=_done(content))


def cut_off_calls(db: sqlite3.Connection, seq: int, turn: int, at: int, reason: str) -> int:
    """Close the turn's executing calls, with their output so far; returns how many there were.

    They have begun, and may have had all of their effect: they must not be taken for calls that were not made.
    """
    executing = db.execute(
        "SELECT * FROM calls WHERE task = ? AND turn = ? AND status = 'executing' ORDER BY position", (seq, turn)
    ).fetchall()
    for call in executing:
        output = output_of(db, seq, turn, call["id"]) if call["output"] is None else call["output"]
        set_call_status(db, call, CallStatus.ERROR, at, output=output, reason=reason)
    return len(executing)


def correct_turn(db: sqlite3.Connection, task: sqlite3.Row, result: str, at: int) -> None:
    """Replace the result of an ended turn, and log it."""
    db.execute(
        "UPDATE turns SET content = ?, content_at = ? WHERE task = ? AND number = ?",
        (result, at, task["seq"], task["turn"]),
    )
    log(db, task["seq"], EventKind.DONE, _done(result), at)


def spoken(db: sqlite3.Connection, seq: int, turn: int, *kinds: EventKind) -> list[Event]:
    """Return the events of these kinds in a turn so far."""
    found = db.execute(
        f"""SELECT number, at, kind, data FROM events WHERE task = ?1 AND kind IN ({", ".join("?" * len(kinds))})
               AND number >= (SELECT first_event FROM turns WHERE task = ?1 AND number = ?) ORDER BY number""",
        (seq, *kinds, turn),
    )
    return [rows.event(row) for row in found]


def output_of(db: sqlite3.Connection, seq: int, turn: int, call_id: str) -> str:
    """Return the output of one call of a turn.

    The event is `content` where the output is the turn's answer, `output` where the agent answers itself.
    """
    events = spoken(db, seq, turn, EventKind.CONTENT, EventKind.OUTPUT)
    return _joined([event for event in events if event.data.get("callId") == call_id])[0]


def _cut_off_by(end: TurnEnd) -> str:
    """Return what interrupted the calls that a turn leaves unfinished, in words."""
    if end.error_code == Code.TIMEOUT:
        return "cut off at the task's limit of time (timeoutSeconds)"
    words = {Status.CANCELLED: "the task was cancelled", Status.FAILED: "the task failed"}
    return f"cut off when {words.get(end.status, 'the turn ended')}"


def _joined(events: Sequence[Event]) -> tuple[str, int | None]:
    """Return the events' text, and the time of the last one."""
    return "".join(event.data["text"] for event in events), events[-1].at if events else None


def _done(content: str) -> Mapping[str, Any]:
    return {"finalResponse": content} if len(content) <= 4096 else {"characters": len(content)}


def remember(db: sqlite3.Connection, run: Run, state: str, usage: TurnUsage | None) -> None:
    """Save the state that the turn's agent continues from, as JSON, and add up its model usage."""
    held(db, run)
    used = usage or TurnUsage(0, 0, 0)
    db.execute("UPDATE turns SET state = NULL WHERE task = ? AND number < ?", (run.seq, run.turn))
    db.execute(
        """UPDATE turns SET state = ?, requests = requests + ?, input_tokens = input_tokens + ?,
               output_tokens = output_tokens + ? WHERE task = ? AND number = ?""",
        (state, used.requests, used.input_tokens, used.output_tokens, run.seq, run.turn),
    )


def recall(db: sqlite3.Connection, run: Run, *, back: int = 0) -> str | None:
    """Return the state saved last in the run's turn, or `back` turns before it; None if there is none."""
    row = db.execute("SELECT state FROM turns WHERE task = ? AND number = ?", (run.seq, run.turn - back)).fetchone()
    return row["state"] if row else None


def secrets_of(db: sqlite3.Connection, seq: int, turn: int) -> dict[str, SecretSource]:
    """Return the names of a turn's secrets, with the source of each value."""
    found = db.execute("SELECT name, source FROM secret_names WHERE task = ? AND turn = ? ORDER BY name", (seq, turn))
    return {row["name"]: row["source"] for row in found}
