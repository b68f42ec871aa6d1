"""Creating, reading, listing and deleting tasks."""

import sqlite3
from collections.abc import Collection, Mapping
from itertools import chain

from server.errors import Code, RemitError
from storage import rows
from storage.moves import log, move, owned
from storage.records import (
    Call,
    Created,
    Event,
    Message,
    NewTask,
    NewTurn,
    Principal,
    SecretSource,
    Snapshot,
    Task,
    TaskPage,
    Turn,
)
from storage.states import ENDED, OPEN, CallStatus, Status

_JOIN = "FROM tasks t JOIN principals p ON p.id = t.principal"


def create(db: sqlite3.Connection, principal: Principal, new: NewTask, at: int) -> Created:
    """Insert a task with its first turn; the same idempotency key answers with what it made before."""
    earlier = repeated(db, principal, new.idempotency_key, new.request_digest)
    if earlier:
        return earlier
    db.execute("INSERT OR IGNORE INTO principals VALUES (?, ?, ?)", (principal.id, principal.name, at))
    db.execute("INSERT INTO conversations VALUES (?, ?, ?)", (new.conversation, principal.id, at))
    db.execute(
        "INSERT INTO sessions VALUES (?, ?, ?, ?)",
        (new.session, new.conversation, at, new.session_expires_at),
    )
    seq = _insert(db, principal, new, at)
    _insert_turn(db, seq, 1, new.message, new.secrets, at)
    log(db, seq, "status", {"status": Status.PENDING}, at)
    return Created(new.id, Status.PENDING, repeated=False)


def repeated(
    db: sqlite3.Connection, principal: Principal, idempotency_key: str | None, request_digest: str
) -> Created | None:
    """What this idempotency key made before; CONFLICT if it was for another request."""
    row = db.execute(
        "SELECT id, status, request_digest FROM tasks WHERE principal = ? AND idempotency_key = ?",
        (principal.id, idempotency_key),
    ).fetchone()
    if row is None:
        return None
    if row["request_digest"] != request_digest:
        raise RemitError(
            Code.CONFLICT,
            "idempotencyKey was used before for a different request; use a new key",
            field="idempotencyKey",
            id=row["id"],
        )
    return Created(row["id"], Status(row["status"]), repeated=True)


def open_turn(db: sqlite3.Connection, principal: Principal, task_id: str, new: NewTurn, at: int) -> Task:
    """Add a message to an ended task and queue it again."""
    row = owned(db, principal, task_id)
    if Status(row["status"]) not in ENDED:
        raise RemitError(
            Code.CONFLICT,
            f"the task is {row['status']}; a message can be sent once it has completed, failed or been cancelled",
            status=row["status"],
        )
    db.execute(
        "UPDATE tasks SET env = ?, turn = turn + 1, message_count = message_count + 1, session = ? WHERE seq = ?",
        (rows.dumps(new.env), _session(db, row, new, at), row["seq"]),
    )
    _insert_turn(db, row["seq"], row["turn"] + 1, new.message, new.secrets, at)
    move(db, row, Status.PENDING, at)
    return get(db, principal, task_id)


def secrets_are_back(
    db: sqlite3.Connection, principal: Principal, task_id: str, unneeded: Collection[str], at: int
) -> Task:
    """Let a task that was blocked for its lost secrets go on, without those it does not need any more."""
    row = owned(db, principal, task_id)
    db.executemany(
        "DELETE FROM secret_names WHERE task = ? AND turn = ? AND name = ?",
        [(row["seq"], row["turn"], name) for name in unneeded],
    )
    if Status(row["status"]) is Status.BLOCKED:
        move(db, row, Status.PENDING, at)
    return get(db, principal, task_id)


def get(db: sqlite3.Connection, principal: Principal, task_id: str) -> Task:
    """One task; NOT_FOUND for an unknown one and for somebody else's alike."""
    row = db.execute(
        f"SELECT {rows.TASK_COLUMNS} {_JOIN} WHERE t.id = ? AND t.principal = ?",
        (task_id, principal.id),
    ).fetchone()
    if row is None:
        raise RemitError(Code.NOT_FOUND, f"there is no task {task_id!r}", id=task_id)
    return rows.task(row)


def snapshot(
    db: sqlite3.Connection,
    principal: Principal,
    task_id: str,
    *,
    messages: bool = False,
    events_after: int | None = None,
    max_events: int = 0,
) -> Snapshot:
    """A task with its current turn, calls and output, and with messages and later events where asked."""
    task = get(db, principal, task_id)
    turn = _turn(db, task)
    spoken = _spoken(db, task, turn)
    content, content_at = _content(turn, spoken)
    calls = _calls(db, task, spoken)
    return Snapshot(
        task=task,
        turn=turn,
        content=content,
        content_at=content_at,
        calls=calls,
        waiting=sum(call.status is CallStatus.AWAITING_APPROVAL for call in calls),
        secrets=secrets_of(db, task.seq, task.turn),
        events=_events(db, task, events_after, max_events) if events_after is not None else [],
        messages=_messages(db, task) if messages else [],
    )


def page(
    db: sqlite3.Connection, principal: Principal, statuses: Collection[Status], limit: int, offset: int
) -> TaskPage:
    """Tasks in order of activity, newest first; no statuses means all of them."""
    order = "ORDER BY last_activity_at DESC, seq DESC LIMIT ?"
    where = "t.principal = ? AND t.status = ?" if statuses else "t.principal = ?"
    walk = f"SELECT {rows.ROW_COLUMNS} {_JOIN} WHERE {where} {order}"
    if len(statuses) <= 1:
        found = db.execute(f"{walk} OFFSET ?", (principal.id, *statuses, limit, offset)).fetchall()
    else:
        # One walk along the index for each state, merged: for several at once SQLite would look at every task.
        walks = " UNION ALL ".join(f"SELECT * FROM ({walk})" for _ in statuses)
        ends = chain.from_iterable((principal.id, status, offset + limit) for status in statuses)
        found = db.execute(f"{walks} {order} OFFSET ?", (*ends, limit, offset)).fetchall()
    return TaskPage([rows.summary(row) for row in found], _total(db, principal, statuses))


def waiting_calls(db: sqlite3.Connection, seqs: Collection[int]) -> dict[int, int]:
    """How many calls of each of these tasks wait for approval."""
    marks = ", ".join("?" * len(seqs))
    found = db.execute(
        f"SELECT task, count(*) AS n FROM calls WHERE status = 'awaiting_approval' AND task IN ({marks}) GROUP BY task",
        tuple(seqs),
    ).fetchall()
    return {row["task"]: row["n"] for row in found}


def delete(db: sqlite3.Connection, principal: Principal, task_id: str) -> None:
    """Remove a task and all that belongs to it; CONFLICT while it runs."""
    row = owned(db, principal, task_id)
    if Status(row["status"]) is Status.RUNNING:
        raise RemitError(
            Code.CONFLICT, "the task is still running; try again when it has stopped", status=row["status"]
        )
    db.execute("DELETE FROM tasks WHERE seq = ?", (row["seq"],))
    shared = db.execute("SELECT 1 FROM tasks WHERE conversation = ?", (row["conversation"],)).fetchone()
    if shared is None:
        db.execute("DELETE FROM conversations WHERE id = ?", (row["conversation"],))


def ids(db: sqlite3.Connection) -> list[str]:
    """The ids of all tasks of all principals: for the server's own housekeeping."""
    return [row["id"] for row in db.execute("SELECT id FROM tasks")]


def open_counts(db: sqlite3.Connection) -> dict[Status, int]:
    """How many tasks of all principals are in each open state: for the server's own state."""
    marks = ", ".join("?" * len(OPEN))
    found = db.execute(
        f"SELECT status, sum(n) AS n FROM task_counts WHERE status IN ({marks}) GROUP BY status",
        tuple(OPEN),
    )
    return {Status(row["status"]): row["n"] for row in found}


def secret_names(db: sqlite3.Connection, principal: Principal, task_id: str) -> dict[str, SecretSource]:
    """The names of the secrets of a task's turn and how each value comes."""
    row = owned(db, principal, task_id)
    return secrets_of(db, row["seq"], row["turn"])


def secrets_of(db: sqlite3.Connection, seq: int, turn: int) -> dict[str, SecretSource]:
    """The names of a turn's secrets and how each value comes."""
    found = db.execute("SELECT name, source FROM secret_names WHERE task = ? AND turn = ? ORDER BY name", (seq, turn))
    return {row["name"]: row["source"] for row in found}


def _insert(db: sqlite3.Connection, principal: Principal, new: NewTask, at: int) -> int:
    values = {
        "id": new.id,
        "principal": principal.id,
        "conversation": new.conversation,
        "session": new.session,
        "agent": new.agent,
        "status": Status.PENDING,
        "title": new.title,
        "message": new.message,
        "system_prompt": new.system_prompt,
        "show_in_history": new.show_in_history,
        "auto_execute": new.auto_execute,
        "env": rows.dumps(new.env),
        "metadata": rows.dumps(new.metadata),
        "demands": rows.dumps(new.demands),
        "sandbox": new.sandbox,
        "timeout_seconds": new.timeout_seconds,
        "idempotency_key": new.idempotency_key,
        "request_digest": new.request_digest,
    } | dict.fromkeys(("queued_at", "created_at", "updated_at", "last_activity_at"), at)
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    seq = db.execute(f"INSERT INTO tasks ({names}) VALUES ({marks})", values).lastrowid
    assert seq is not None
    return seq


def _insert_turn(
    db: sqlite3.Connection, seq: int, number: int, message: str, secrets: Mapping[str, SecretSource], at: int
) -> None:
    (last_event,) = db.execute("SELECT last_event FROM tasks WHERE seq = ?", (seq,)).fetchone()
    db.execute(
        "INSERT INTO turns (task, number, message, first_event, created_at) VALUES (?, ?, ?, ?, ?)",
        (seq, number, message, last_event + 1, at),
    )
    db.executemany(
        "INSERT INTO secret_names VALUES (?, ?, ?, ?)",
        [(seq, number, name, source) for name, source in secrets.items()],
    )


def _session(db: sqlite3.Connection, task: sqlite3.Row, new: NewTurn, at: int) -> str:
    """The task's session while it lasts, prolonged; else a new one, without its grants."""
    prolonged = db.execute(
        "UPDATE sessions SET expires_at = ? WHERE id = ? AND expires_at > ?",
        (new.session_expires_at, task["session"], at),
    ).rowcount
    if prolonged:
        return str(task["session"])
    db.execute(
        "INSERT INTO sessions VALUES (?, ?, ?, ?)",
        (new.session, task["conversation"], at, new.session_expires_at),
    )
    return new.session


def _total(db: sqlite3.Connection, principal: Principal, statuses: Collection[Status]) -> int:
    found = db.execute("SELECT status, n FROM task_counts WHERE principal = ?", (principal.id,)).fetchall()
    return sum(row["n"] for row in found if not statuses or row["status"] in statuses)


def _turn(db: sqlite3.Connection, task: Task) -> Turn:
    row = db.execute(
        f"SELECT {rows.TURN_COLUMNS} FROM turns WHERE task = ? AND number = ?",
        (task.seq, task.turn),
    ).fetchone()
    return rows.turn(row)


def _spoken(db: sqlite3.Connection, task: Task, turn: Turn) -> list[Event]:
    """What has come out of an open turn so far; a closed one has it in one piece."""
    if turn.ended_at is not None:
        return []
    found = db.execute(
        """SELECT number, at, kind, data FROM events
           WHERE task = ? AND number >= (SELECT first_event FROM turns WHERE task = ?1 AND number = ?)
               AND kind = 'content' ORDER BY number""",
        (task.seq, turn.number),
    )
    return [rows.event(row) for row in found]


def _content(turn: Turn, spoken: list[Event]) -> tuple[str, int | None]:
    if turn.ended_at is not None:
        return turn.content or "", turn.content_at
    return "".join(event.data["text"] for event in spoken), spoken[-1].at if spoken else None


def _calls(db: sqlite3.Connection, task: Task, spoken: list[Event]) -> list[Call]:
    """The turn's calls in order; one that is executing shows its output so far."""
    found = db.execute(
        f"SELECT {rows.CALL_COLUMNS} FROM calls WHERE task = ? AND turn = ? ORDER BY position",
        (task.seq, task.turn),
    ).fetchall()
    return [
        rows.call(row)
        if row["status"] != CallStatus.EXECUTING
        else rows.call(row, output=_output_so_far(row["id"], spoken))
        for row in found
    ]


def _output_so_far(call_id: str, spoken: list[Event]) -> str:
    return "".join(event.data["text"] for event in spoken if event.data.get("callId") == call_id)


def _events(db: sqlite3.Connection, task: Task, after: int, most: int) -> list[Event]:
    found = db.execute(
        "SELECT number, at, kind, data FROM events WHERE task = ? AND number > ? ORDER BY number LIMIT ?",
        (task.seq, after, most),
    )
    return [rows.event(row) for row in found]


def _messages(db: sqlite3.Connection, task: Task) -> list[Message]:
    found = db.execute(
        f"SELECT {rows.TURN_COLUMNS} FROM turns WHERE task = ? ORDER BY number",
        (task.seq,),
    )
    messages: list[Message] = []
    for turn in map(rows.turn, found):
        messages.append(Message(turn.number, "user", turn.message, turn.created_at))
        if turn.content is not None and turn.ended_at is not None:
            messages.append(Message(turn.number, "assistant", turn.content, turn.ended_at))
    return messages
