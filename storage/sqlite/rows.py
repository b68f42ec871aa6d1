"""Conversion of SQLite rows to records."""

import json
import sqlite3
from dataclasses import fields
from typing import Any

from server.errors import Code
from storage.records.calls import Call
from storage.records.events import Event, EventKind
from storage.records.states import CALL_ENDED, ENDED, CallStatus, Status
from storage.records.tasks import Row, Task, TurnRecord

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # json.dumps would make one each time

TASKS = "tasks t JOIN principals p ON p.id = t.principal JOIN conversations c ON c.id = t.conversation"
_PARENT = "(SELECT id FROM tasks WHERE seq = t.parent) AS parent"
# A task that is hidden from its conversation's history still counts its own messages for itself.
_MESSAGES = "c.message_count + iif(t.show_in_history, 0, t.message_count) AS message_count"
_RESULT = """iif(t.status = 'completed', (SELECT substr(content, 1, 200) FROM turns
    WHERE task = t.seq AND number = t.turn), NULL) AS result"""
TASK_COLUMNS = f"""
    t.seq, t.id, t.principal, p.name AS username, t.conversation, t.session, t.agent, t.status, t.title, t.message,
    t.system_prompt, t.show_in_history, t.auto_execute, t.env, t.metadata, t.demands, t.sandbox, t.timeout_seconds,
    t.cancel_requested, t.blocked_reason, t.blocked_at, t.error_code, t.error, t.turn, {_MESSAGES}, t.last_event,
    t.description, t.task_list, t.assigned_agent, t.triggering_agent, t.internal_status, t.source, {_PARENT}, t.depth,
    t.progress, t.progress_message, t.on_dependency_failure, t.open_dependencies, t.max_calls, t.queue_place,
    t.created_at, t.started_at, t.completed_at, t.updated_at, t.last_activity_at, t.workspace_removed_at, t.kept_output,
    t.files
"""
ROW_COLUMNS = f"""
    t.seq, t.id, p.name AS username, t.conversation, t.agent, t.status, substr(t.title, 1, 200) AS title,
    substr(t.message, 1, 200) AS message, substr(t.description, 1, 200) AS description, t.show_in_history,
    t.auto_execute, t.task_list, t.assigned_agent, t.triggering_agent, t.internal_status, t.source, {_PARENT},
    t.progress, t.open_dependencies, t.blocked_reason, substr(t.error, 1, 200) AS error, {_RESULT}, {_MESSAGES},
    t.created_at, t.started_at, t.completed_at, t.updated_at, t.last_activity_at
"""
CALL_COLUMNS = ", ".join(field.name for field in fields(Call))
TURN_COLUMNS = ", ".join(field.name for field in fields(TurnRecord))

ENDED_SQL, CALL_ENDED_SQL = (
    "({})".format(", ".join(f"'{status}'" for status in sorted(ended))) for ended in (ENDED, CALL_ENDED)
)
"""The statuses of ended tasks, and of ended calls, as SQL lists."""


def task(row: sqlite3.Row) -> Task:
    """Return a task from a row of TASK_COLUMNS."""
    values = dict(row)
    for name in ("show_in_history", "auto_execute", "cancel_requested"):
        values[name] = bool(values[name])
    for name in ("env", "metadata", "demands", "files"):
        values[name] = loads(values[name])
    code = Code(values["error_code"]) if values["error_code"] else None
    return Task(**values | {"status": Status(values["status"]), "error_code": code})


def summary(row: sqlite3.Row) -> Row:
    """Return a task of a list from a row of ROW_COLUMNS."""
    values = dict(row)
    for name in ("show_in_history", "auto_execute"):
        values[name] = bool(values[name])
    return Row(**values | {"status": Status(values["status"])})


def call(row: sqlite3.Row, **changes: Any) -> Call:
    """Return a call from a row of CALL_COLUMNS, with `changes` to its columns."""
    values = dict(row) | changes
    read = {"args": json.loads(values["args"]), "differs": loads(values["differs"]) or []}
    return Call(**values | read | {"status": CallStatus(values["status"])})


def turn(row: sqlite3.Row) -> TurnRecord:
    """Return a turn from a row of TURN_COLUMNS."""
    values = dict(row)
    status = Status(values["status"]) if values["status"] else None
    return TurnRecord(**values | {"status": status, "thoughts": loads(values["thoughts"]) or []})


def event(row: sqlite3.Row) -> Event:
    """Return an event from a row with number, at, kind and data."""
    return Event(row["number"], row["at"], EventKind(row["kind"]), json.loads(row["data"]))


def dumps(value: Any) -> str | None:
    """Encode a value for a JSON column; None stays NULL."""
    return None if value is None else _encode(value)


def loads(text: str | None) -> Any:
    """Decode a JSON column; NULL is None."""
    return None if text is None else json.loads(text)
