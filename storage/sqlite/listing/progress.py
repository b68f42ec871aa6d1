"""News of a task: what came after an event that the caller has seen, and a short report on its progress."""

import sqlite3
from collections.abc import Sequence

from storage.records.events import Event, EventKind
from storage.records.states import Status
from storage.records.tasks import NOBODY, Message, NewParts, Principal, Progress, Task
from storage.sqlite import rows
from storage.sqlite.transitions.status import owned

_PIECES = 10
"""Events searched for the last line of output: mostly the last event has it."""


def new_parts(db: sqlite3.Connection, task: Task, content: str, thoughts: int, after: int) -> NewParts:
    """Return what came after an event, of a turn with this content and this many thoughts.

    Everything is new if the event belongs to an earlier turn, or the log no longer reaches back to it.
    """
    if not _is_known(db, task, after):
        found = db.execute("SELECT id FROM calls WHERE task = ? AND turn = ?", (task.seq, task.turn))
        return NewParts(len(content), thoughts, frozenset(row["id"] for row in found))
    events = _later(db, task.seq, after)
    if task.agent == NOBODY:  # its content is what was reported, in one piece
        characters = len(content) if any(event.kind == EventKind.DONE for event in events) else 0
    else:
        characters = sum(len(event.data["text"]) for event in events if event.kind == EventKind.CONTENT)
    return NewParts(
        characters,
        sum(event.kind == EventKind.THOUGHT for event in events),
        frozenset(event.data["callId"] for event in events if "callId" in event.data),
    )


def messages(db: sqlite3.Connection, task: Task, told: Sequence[Message], after: int) -> list[Message]:
    """Return those of a conversation's messages that came after an event of the task; all if the log is too short."""
    found = db.execute(
        "SELECT at FROM events WHERE task = ? AND number <= ? ORDER BY number DESC LIMIT 1", (task.seq, after)
    ).fetchone()
    return [message for message in told if found is None or message.at > found["at"]]


def progress(db: sqlite3.Connection, principal: Principal, task_id: str) -> Progress:
    """Return a short report on a running task. Raises RemitError (NOT_FOUND)."""
    task = owned(db, principal, task_id)
    calls, ended = db.execute(
        f"""SELECT count(*), count(*) FILTER (WHERE status IN {rows.CALL_ENDED_SQL})
            FROM calls WHERE task = ? AND turn = ?""",
        (task["seq"], task["turn"]),
    ).fetchone()
    found = db.execute(
        """SELECT number, at, kind, data FROM events WHERE task = ?1 AND kind IN ('content', 'output')
               AND number >= (SELECT first_event FROM turns WHERE task = ?1 AND number = ?2)
           ORDER BY number DESC LIMIT ?3""",
        (task["seq"], task["turn"], _PIECES),
    )
    said = "".join(event.data["text"] for event in reversed([rows.event(row) for row in found]))
    return Progress(Status(task["status"]), task["started_at"], ended, calls, said)


def _is_known(db: sqlite3.Connection, task: Task, after: int) -> bool:
    """Return whether the event belongs to the turn, and the log has everything after it."""
    (first,) = db.execute(
        "SELECT first_event FROM turns WHERE task = ? AND number = ?", (task.seq, task.turn)
    ).fetchone()
    (kept,) = db.execute("SELECT min(number) FROM events WHERE task = ?", (task.seq,)).fetchone()
    return after >= task.last_event or (after >= first - 1 and kept is not None and kept <= after + 1)


def _later(db: sqlite3.Connection, seq: int, after: int) -> list[Event]:
    found = db.execute("SELECT number, at, kind, data FROM events WHERE task = ? AND number > ?", (seq, after))
    return [rows.event(row) for row in found]
