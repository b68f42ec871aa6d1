"""From rows to records."""

import json
import sqlite3
from dataclasses import fields
from typing import Any

from storage.records import Call, Event, Row, Task, Turn
from storage.states import CallStatus, Status

TASK_COLUMNS = """
    t.seq, t.id, t.principal, p.name AS username, t.conversation, t.session, t.agent, t.status, t.title, t.message,
    t.system_prompt, t.show_in_history, t.auto_execute, t.env, t.metadata, t.demands, t.sandbox, t.timeout_seconds,
    t.cancel_requested, t.blocked_reason, t.error_code, t.error, t.turn, t.message_count, t.last_event, t.queued_at,
    t.created_at, t.started_at, t.completed_at, t.updated_at, t.last_activity_at
"""
ROW_COLUMNS = """
    t.seq, t.id, p.name AS username, t.conversation, t.agent, t.status, substr(t.title, 1, 200) AS title,
    substr(t.message, 1, 200) AS message, t.blocked_reason, substr(t.error, 1, 200) AS error, t.message_count,
    t.created_at, t.started_at, t.completed_at, t.last_activity_at
"""
CALL_COLUMNS = ", ".join(field.name for field in fields(Call))
TURN_COLUMNS = ", ".join(field.name for field in fields(Turn))


def task(row: sqlite3.Row) -> Task:
    """A task from a row of TASK_COLUMNS."""
    values = dict(row)
    for name in ("show_in_history", "auto_execute", "cancel_requested"):
        values[name] = bool(values[name])
    for name in ("env", "metadata", "demands"):
        values[name] = loads(values[name])
    return Task(**values | {"status": Status(values["status"])})


def summary(row: sqlite3.Row) -> Row:
    """A task in a list from a row of ROW_COLUMNS."""
    values = dict(row)
    return Row(**values | {"status": Status(values["status"])})


def call(row: sqlite3.Row, **changes: Any) -> Call:
    """A call from a row of CALL_COLUMNS, with `changes` to its columns."""
    values = dict(row) | changes
    return Call(**values | {"args": json.loads(values["args"]), "status": CallStatus(values["status"])})


def turn(row: sqlite3.Row) -> Turn:
    """A turn from a row of TURN_COLUMNS."""
    values = dict(row)
    return Turn(**values | {"status": Status(values["status"]) if values["status"] else None})


def event(row: sqlite3.Row) -> Event:
    """An event from a row with number, at, kind and data."""
    return Event(row["number"], row["at"], row["kind"], json.loads(row["data"]))


def dumps(value: Any) -> str | None:
    """A JSON column from a value; None stays NULL."""
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def loads(text: str | None) -> Any:
    """A value from a JSON column; NULL is None."""
    return None if text is None else json.loads(text)
