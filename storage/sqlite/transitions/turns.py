"""Turns: one message and what comes of it, from its opening to its end."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from server.errors import Code
from storage.records.states import CallStatus, Status
from storage.records.tasks import Event, Origin, Run, RunEnd, SecretSource, TurnUsage
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
    """Add a message, and the names of the secrets that go with it."""
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
    end: RunEnd,
    at: int,
    *,
    result: str | None = None,
    origin: Origin | None = None,
) -> None:
    """Close the turn's open calls, keep `result` or else what was said, and tell how it ended."""
    seq, turn = task["seq"], task["turn"]
    heard: list[Event] = []
    if task["fence"]:  # or no run has ever begun, to make a call or to say anything
        cut_off_calls(db, seq, turn, at, _cut_off_by(end))
        because = ": the task was cancelled" if end.status is Status.CANCELLED else ""
        close_calls(db, seq, turn, at, f"not reached{because}")
        heard = spoken(db, seq, turn, "content", "thought")
    answered = _joined([event for event in heard if event.kind == "content"])
    content, said_at = answered if result is None else (result, at)
    thoughts = [event.data for event in heard if event.kind == "thought"]
    db.execute(
        """UPDATE turns SET content = ?, content_at = ?, thoughts = ?, status = ?, ended_at = ?
           WHERE task = ? AND number = ?""",
        (content, said_at, rows.dumps(thoughts or None), end.status, at, seq, turn),
    )
    count_in_conversation(db, seq)
    error = (end.error_code, end.error or "") if end.error_code else None
    set_status(db, task, end.status, at, error=error, origin=origin, done=_done(content))


def cut_off_calls(db: sqlite3.Connection, seq: int, turn: int, at: int, reason: str) -> int:
    """Close the calls of a turn that were being executed, with what they had written by then; how many there were.

    They have begun, and may have done all that they were to do: nobody may take them for calls that were not made.
    """
    executing = db.execute(
        "SELECT * FROM calls WHERE task = ? AND turn = ? AND status = 'executing' ORDER BY position", (seq, turn)
    ).fetchall()
    for call in executing:
        output = output_of(db, seq, turn, call["id"]) if call["output"] is None else call["output"]
        set_call_status(db, call, CallStatus.ERROR, at, output=output, reason=reason)
    return len(executing)


def correct_turn(db: sqlite3.Connection, task: sqlite3.Row, result: str, at: int) -> None:
    """Keep another result of a turn that has ended, and tell it."""
    db.execute(
        "UPDATE turns SET content = ?, content_at = ? WHERE task = ? AND number = ?",
        (result, at, task["seq"], task["turn"]),
    )
    log(db, task["seq"], "done", _done(result), at)


def spoken(db: sqlite3.Connection, seq: int, turn: int, *kinds: str) -> list[Event]:
    """The events of these kinds that a turn has brought so far."""
    found = db.execute(
        f"""SELECT number, at, kind, data FROM events WHERE task = ?1 AND kind IN ({", ".join("?" * len(kinds))})
               AND number >= (SELECT first_event FROM turns WHERE task = ?1 AND number = ?) ORDER BY number""",
        (seq, *kinds, turn),
    )
    return [rows.event(row) for row in found]


def output_of(db: sqlite3.Connection, seq: int, turn: int, call_id: str) -> str:
    """What came out of one call of a turn.

    It is `content` where it is the turn's answer, and `output` where the agent speaks for itself.
    """
    events = spoken(db, seq, turn, "content", "output")
    return _joined([event for event in events if event.data.get("callId") == call_id])[0]


def _cut_off_by(end: RunEnd) -> str:
    """What has cut off the calls that a turn leaves unfinished, in words."""
    if end.error_code == Code.TIMEOUT:
        return "cut off at the task's limit of time (timeoutSeconds)"
    words = {Status.CANCELLED: "the task was cancelled", Status.FAILED: "the task failed"}
    return f"cut off when {words.get(end.status, 'the turn ended')}"


def _joined(events: Sequence[Event]) -> tuple[str, int | None]:
    """Their text, and when the last of it came."""
    return "".join(event.data["text"] for event in events), events[-1].at if events else None


def _done(content: str) -> Mapping[str, Any]:
    return {"finalResponse": content} if len(content) <= 4096 else {"characters": len(content)}


def remember(db: sqlite3.Connection, run: Run, state: str, usage: TurnUsage | None) -> None:
    """Keep what the turn's agent will go on from, as JSON, and count what its model has used."""
    held(db, run)
    used = usage or TurnUsage(0, 0, 0)
    db.execute("UPDATE turns SET state = NULL WHERE task = ? AND number < ?", (run.seq, run.turn))
    db.execute(
        """UPDATE turns SET state = ?, requests = requests + ?, input_tokens = input_tokens + ?,
               output_tokens = output_tokens + ? WHERE task = ? AND number = ?""",
        (state, used.requests, used.input_tokens, used.output_tokens, run.seq, run.turn),
    )


def recall(db: sqlite3.Connection, run: Run, *, back: int = 0) -> str | None:
    """What was remembered last in the run's turn, or so many turns before it."""
    row = db.execute("SELECT state FROM turns WHERE task = ? AND number = ?", (run.seq, run.turn - back)).fetchone()
    return row["state"] if row else None


def secrets_of(db: sqlite3.Connection, seq: int, turn: int) -> dict[str, SecretSource]:
    """The names of a turn's secrets and how each value comes."""
    found = db.execute("SELECT name, source FROM secret_names WHERE task = ? AND turn = ? ORDER BY name", (seq, turn))
    return {row["name"]: row["source"] for row in found}
