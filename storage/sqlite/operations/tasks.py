"""Tasks: creating, reading and resuming them, and opening their next turns."""

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import fields
from hashlib import sha256
from typing import Any

from server.errors import Code, RemitError
from storage.errors import not_found, turn_is_open
from storage.records.calls import Call
from storage.records.events import Event, EventKind
from storage.records.states import DEPENDENCIES, ENDED, LOST, OPEN, RESTORED, CallStatus, Status
from storage.records.tasks import (
    CreationResult,
    NewTask,
    NewTurn,
    Principal,
    SecretSource,
    SentKey,
    Snapshot,
    Task,
    TurnRecord,
)
from storage.sqlite import rows
from storage.sqlite.listing import progress
from storage.sqlite.listing.graph import related
from storage.sqlite.operations import sent_keys
from storage.sqlite.relations import blockers, dependencies, folder_locks, subtasks, task_secrets
from storage.sqlite.relations.dependencies import Dependency, TreePosition
from storage.sqlite.relations.propagation import tell_of
from storage.sqlite.transitions.conversations import end_session, join, messages_of, session_of
from storage.sqlite.transitions.status import log, next_place, owned, set_status
from storage.sqlite.transitions.turns import insert_turn, secrets_of, spoken

_MOST_IDS = 200
"""Ids of related tasks shown with a task."""

_MOST_FILES = 500
"""Uploaded files of a task that are known individually: as many as 25 messages can bring."""

_NO_COLUMNS = frozenset({"depends_on", "joins", "nesting", "parent", "secrets", "session_expires_at", "workspace"})
"""Fields of a new task that other tables hold, or that are stored otherwise than they were given."""


def create(db: sqlite3.Connection, principal: Principal, new: NewTask, at: int) -> CreationResult:
    """Insert a task with its first turn; the same idempotency key returns the task it created before.

    Raises RemitError: CONFLICT for a key used with another request, and what finding its parent, dependencies and
    conversation raises.
    """
    earlier = repeated(db, principal, new.idempotency_key, new.request_digest)
    if earlier:
        return earlier
    db.execute("INSERT OR IGNORE INTO principals VALUES (?, ?, ?)", (principal.id, principal.name, at))
    position = dependencies.find_position(db, principal, new.parent, new.nesting) if new.parent else None
    needs = dependencies.find_dependencies(db, principal, new.depends_on, new.on_dependency_failure)
    join(db, principal, new, at)
    seq, status = _insert(db, principal, new, position, needs, at)
    dependencies.insert_dependencies(db, seq, needs)
    if new.workspace:
        folder_locks.insert(db, seq, new.workspace)
    insert_turn(db, seq, 1, new.message, new.secrets, at)
    log(db, seq, EventKind.STATUS, {"status": status}, at)
    if position:
        dependencies.tell_parent(db, position.parent, new.id, status, at)
    return CreationResult(new.id, status, repeated=False)


def repeated(
    db: sqlite3.Connection, principal: Principal, idempotency_key: str | None, request_digest: str
) -> CreationResult | None:
    """Return the task that this idempotency key created before; None if there is none.

    Raises RemitError (CONFLICT) if the key was used for another request.
    """
    row = db.execute(
        "SELECT id, status, request_digest FROM tasks WHERE principal = ? AND idempotency_key = ?",
        (principal.id, idempotency_key),
    ).fetchone()
    if row is None:
        return None
    if row["request_digest"] != request_digest:
        raise RemitError(
            Code.CONFLICT,
            f"idempotencyKey was used before for a different request, which made the task {row['id']}; use a new key",
            field="idempotencyKey",
            id=row["id"],
        )
    return CreationResult(row["id"], Status(row["status"]), repeated=True)


def open_turn(db: sqlite3.Connection, principal: Principal, task_id: str, new: NewTurn, at: int) -> Task | None:
    """Add a message to an ended task and queue it again, or block it on its open dependencies.

    Returns None while dependants still have to be updated about its former end; the next chunk of them has been. Raises
    RemitError: NOT_FOUND, CONFLICT if it has not ended, DEPENDENCY_FAILED.
    """
    row = owned(db, principal, task_id)
    if Status(row["status"]) not in ENDED:
        raise turn_is_open(row["status"])
    _refuse_failed_dependency(db, row)
    if tell_of(db, row["seq"], at):
        return None
    session = session_of(db, row, new, at)
    db.execute(
        """UPDATE tasks SET env = ?, files = ?, turn = turn + 1, session = ?, calls_left = max_calls, started_at = NULL,
               progress = NULL, progress_message = NULL WHERE seq = ?""",
        (rows.dumps(new.env), _files(row, new.files), session, row["seq"]),
    )
    end_session(db, row["session"])
    insert_turn(db, row["seq"], row["turn"] + 1, new.message, new.secrets, at)
    sent_keys.keep(db, row["seq"], new.sent, at)
    if row["open_dependencies"]:
        set_status(db, row, Status.BLOCKED, at, blocked_reason=DEPENDENCIES)
    else:
        set_status(db, row, Status.PENDING, at)
    return get(db, principal, task_id)


def bring_files(db: sqlite3.Connection, principal: Principal, task_id: str, files: Mapping[str, str]) -> None:
    """Record the files that come with a message, in addition to earlier ones. Raises RemitError (NOT_FOUND)."""
    row = owned(db, principal, task_id)
    db.execute("UPDATE tasks SET files = ? WHERE seq = ?", (_files(row, files), row["seq"]))


def resume(db: sqlite3.Connection, principal: Principal, task_id: str, at: int, key: SentKey | None = None) -> Task:
    """Let a paused task continue, with its call budget renewed if that was used up.

    Raises RemitError: NOT_FOUND, CONFLICT if it is not paused.
    """
    row = owned(db, principal, task_id)
    if row["status"] != Status.PAUSED:
        raise RemitError(
            Code.CONFLICT, f"the task is {row['status']}; only a paused one can be let go on", status=row["status"]
        )
    if row["blocked_reason"] != RESTORED:
        db.execute("UPDATE tasks SET calls_left = max_calls WHERE seq = ?", (row["seq"],))
    sent_keys.keep(db, row["seq"], key, at)
    set_status(db, row, Status.PENDING, at)
    return get(db, principal, task_id)


def resume_with_secrets(
    db: sqlite3.Connection,
    principal: Principal,
    task_id: str,
    unneeded: Collection[str],
    at: int,
    key: SentKey | None = None,
) -> Task:
    """Let a task that was blocked for lost secrets continue, without those it no longer needs."""
    row = owned(db, principal, task_id)
    task_secrets.give_up(db, row, unneeded)
    sent_keys.keep(db, row["seq"], key, at)
    if Status(row["status"]) is Status.BLOCKED and row["blocked_reason"] == LOST:
        set_status(db, row, Status.PENDING, at)
    return get(db, principal, task_id)


def get(db: sqlite3.Connection, principal: Principal, task_id: str) -> Task:
    """Return one task. Raises RemitError (NOT_FOUND), also for another principal's task."""
    row = db.execute(
        f"SELECT {rows.TASK_COLUMNS} FROM {rows.TASKS} WHERE t.id = ? AND t.principal = ?",
        (task_id, principal.id),
    ).fetchone()
    if row is None:
        raise not_found(task_id)
    return rows.task(row)


def snapshot(
    db: sqlite3.Connection,
    principal: Principal,
    task_id: str,
    *,
    messages: bool = False,
    graph: bool = False,
    events_after: int | None = None,
    max_events: int = 0,
    asker: int | None = None,
    since: int | None = None,
) -> Snapshot:
    """Return a task with its current turn, calls and output, and messages, relations and events on request.

    `since` is the number of an event: what came after it is marked as new, and only later messages are included.
    `asker` is the number of the task whose agent asks, if one does: of other tasks, only those beneath it are shown.
    Raises RemitError (NOT_FOUND).
    """
    task = get(db, principal, task_id)
    turn = _turn(db, task)
    # An open turn's output is in its events; a closed turn has it in one piece.
    heard = (
        []
        if turn.ended_at is not None
        else spoken(db, task.seq, turn.number, EventKind.CONTENT, EventKind.OUTPUT, EventKind.THOUGHT)
    )
    content, content_at = _content(turn, [event for event in heard if event.kind == EventKind.CONTENT])
    calls = _calls(db, task, heard)
    thoughts = turn.thoughts or [event.data for event in heard if event.kind == EventKind.THOUGHT]
    told = messages_of(db, task) if messages else []
    new = told if since is None else progress.messages(db, task, told, since)
    return Snapshot(
        task=task,
        turn=turn,
        content=content,
        content_at=content_at,
        thoughts=thoughts,
        calls=calls,
        waiting=sum(call.status is CallStatus.AWAITING_APPROVAL for call in calls),
        secrets=secrets_of(db, task.seq, task.turn),
        warnings=_warnings(db, task, since or 0),
        events=_events(db, task, events_after, max_events, asker) if events_after is not None else [],
        messages=new,
        omitted_messages=task.message_count - len(told) if since is None else 0,
        depends_on=subtasks.known(db, principal, dependencies.needed(db, task.seq, _MOST_IDS), asker),
        dependency_count=dependencies.count_needed(db, task.seq),
        blocked_by=(
            blockers.find(db, principal, task.seq, task.blocked_reason, _MOST_IDS, asker) if _waits(task) else []
        ),
        approvals_beneath=subtasks.known(db, principal, subtasks.awaiting_approval(db, task.seq), asker),
        related=related(db, task.seq) if graph else None,
        workspace=folder_locks.of(db, task.seq),
        new_parts=None if since is None else progress.new_parts(db, task, content, len(thoughts), since),
    )


def open_counts(db: sqlite3.Connection) -> dict[Status, int]:
    """Return the number of tasks in each open status, of all principals; records are left out."""
    marks = ", ".join("?" * len(OPEN))
    found = db.execute(
        f"""SELECT first, sum(n) AS n FROM tallies
            WHERE filter = 'status agent' AND first IN ({marks}) AND second <> 'none' GROUP BY first""",
        tuple(OPEN),
    )
    return {Status(row["first"]): row["n"] for row in found}


def secret_names(db: sqlite3.Connection, principal: Principal, task_id: str) -> dict[str, SecretSource]:
    """Return the names of the secrets of the task's turn, with the source of each value."""
    row = owned(db, principal, task_id)
    return secrets_of(db, row["seq"], row["turn"])


def _insert(
    db: sqlite3.Connection,
    principal: Principal,
    new: NewTask,
    position: TreePosition | None,
    needs: list[Dependency],
    at: int,
) -> tuple[int, Status]:
    still_open = sum(not each.satisfied for each in needs)
    status = Status.BLOCKED if still_open else Status.PENDING
    values = _columns(new) | {
        "principal": principal.id,
        "status": status,
        "open_dependencies": still_open,
        "calls_left": new.max_calls,
        "message_count": 0,
        "queue_place": next_place(db),
        **dict.fromkeys(("created_at", "updated_at", "last_activity_at"), at),
    }
    if position:
        values |= {"parent": position.parent, "root": position.root, "depth": position.depth}
    if still_open:
        values |= {"blocked_reason": DEPENDENCIES, "blocked_at": at}
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    seq = db.execute(
        f"""INSERT INTO tasks (seq, {names}) SELECT 1 + max(highest, (SELECT coalesce(max(seq), 0) FROM tasks)), {marks}
            FROM retired_numbers""",
        values,
    ).lastrowid
    assert seq is not None
    return seq, status


def _columns(new: NewTask) -> dict[str, Any]:
    """Return the fields of a new task that are columns, by their names."""
    given = {each.name: getattr(new, each.name) for each in fields(new) if each.name not in _NO_COLUMNS}
    given["demands"] = new.demands.as_json()
    return {name: rows.dumps(value) if isinstance(value, Mapping) else value for name, value in given.items()}


def _files(task: sqlite3.Row, more: Mapping[str, str]) -> str | None:
    """Return the digests of a task's uploaded files as JSON; of too many, the oldest under one common digest."""
    before = rows.loads(task["files"]) or {}
    known = {**{path: version for path, version in before.items() if path not in more}, **more}
    if oldest := dict(list(known.items())[:-_MOST_FILES]):
        together = {"": sha256(str(rows.dumps(oldest)).encode()).hexdigest()}
        known = together | dict(list(known.items())[-_MOST_FILES:])
    return rows.dumps(known)


def _refuse_failed_dependency(db: sqlite3.Connection, task: sqlite3.Row) -> None:
    """Refuse a new turn if an unsatisfied dependency has failed. Raises RemitError (DEPENDENCY_FAILED)."""
    failed = db.execute(
        """SELECT t.id, t.status FROM dependencies d JOIN tasks t ON t.seq = d.needs
           WHERE d.task = ? AND d.satisfied = 0 AND t.status IN ('failed', 'cancelled') LIMIT 1""",
        (task["seq"],),
    ).fetchone()
    if failed:
        raise dependencies.failed_already(failed["id"], failed["status"])


def _warnings(db: sqlite3.Connection, task: Task, after: int) -> list[str]:
    noted = spoken(db, task.seq, task.turn, EventKind.WARNING)
    return list(dict.fromkeys(event.data["message"] for event in noted if event.number > after))


def _waits(task: Task) -> bool:
    return task.open_dependencies > 0 or task.blocked_reason is not None


def _turn(db: sqlite3.Connection, task: Task) -> TurnRecord:
    row = db.execute(
        f"SELECT {rows.TURN_COLUMNS} FROM turns WHERE task = ? AND number = ?",
        (task.seq, task.turn),
    ).fetchone()
    return rows.turn(row)


def _content(turn: TurnRecord, said: list[Event]) -> tuple[str, int | None]:
    if turn.ended_at is not None:
        return turn.content or "", turn.content_at
    return "".join(event.data["text"] for event in said), said[-1].at if said else None


def _calls(db: sqlite3.Connection, task: Task, heard: list[Event]) -> list[Call]:
    """Return the turn's calls in order; one that is executing shows its output so far."""
    found = db.execute(
        f"SELECT {rows.CALL_COLUMNS} FROM calls WHERE task = ? AND turn = ? ORDER BY position",
        (task.seq, task.turn),
    ).fetchall()
    return [
        rows.call(row)
        if row["status"] != CallStatus.EXECUTING
        else rows.call(row, output=_output_so_far(row["id"], heard))
        for row in found
    ]


def _output_so_far(call_id: str, heard: list[Event]) -> str:
    return "".join(event.data["text"] for event in heard if event.data.get("callId") == call_id)


def _events(db: sqlite3.Connection, task: Task, after: int, most: int, asker: int | None) -> list[Event]:
    heard = f"AND (kind <> 'subtask' OR data ->> 'taskId' IN ({subtasks.made_beneath(':asker')}))"
    found = db.execute(
        f"""SELECT number, at, kind, data FROM events
            WHERE task = :task AND number > :after {heard if asker is not None else ""} ORDER BY number LIMIT :most""",
        {"task": task.seq, "after": after, "most": most, "asker": asker},
    )
    return [rows.event(row) for row in found]
