"""Conversion of SQLite rows to records."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_args, get_origin

from server.errors import Code
from storage.records.calls import Call
from storage.records.demands import Demands
from storage.records.events import Event, EventKind
from storage.records.states import CALL_ENDED, ENDED, CallStatus, Status
from storage.records.tasks import Row, Task, TurnRecord

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # json.dumps would make one each time

TASKS = "tasks t JOIN principals p ON p.id = t.principal JOIN conversations c ON c.id = t.conversation"
LONGEST_TEXT = 200
"""Characters of a text in a list."""

_ELSEWHERE = {
    "username": "p.name",
    "parent": "(SELECT id FROM tasks WHERE seq = t.parent)",
    # A task that is hidden from its conversation's history still counts its own messages for itself.
    "message_count": "c.message_count + iif(t.show_in_history, 0, t.message_count)",
}
"""Fields of records that are no columns of `tasks` of the same name, as SQL."""

_IN_LISTS = _ELSEWHERE | {
    **{name: f"substr(t.{name}, 1, {LONGEST_TEXT})" for name in ("title", "message", "description", "error")},
    "result": f"""iif(t.status = 'completed', (SELECT substr(content, 1, {LONGEST_TEXT}) FROM turns
        WHERE task = t.seq AND number = t.turn), NULL)""",
}


def _columns(record: type[Task | Row], computed: Mapping[str, str]) -> str:
    """Return the fields of a record as columns of `tasks`, or as they are computed."""
    names = [each.name for each in fields(record)]
    return ", ".join(f"{computed[name]} AS {name}" if name in computed else f"t.{name}" for name in names)


TASK_COLUMNS, ROW_COLUMNS = _columns(Task, _ELSEWHERE), _columns(Row, _IN_LISTS)
CALL_COLUMNS = ", ".join(field.name for field in fields(Call))
TURN_COLUMNS = ", ".join(field.name for field in fields(TurnRecord))

ENDED_SQL, CALL_ENDED_SQL = (
    "({})".format(", ".join(f"'{status}'" for status in sorted(ended))) for ended in (ENDED, CALL_ENDED)
)
"""The statuses of ended tasks, and of ended calls, as SQL lists."""


def task(row: sqlite3.Row) -> Task:
    """Return a task from a row of TASK_COLUMNS."""
    code = Code(row["error_code"]) if row["error_code"] else None
    return Task(**_values(row, _FLAGS, _OBJECTS) | {"error_code": code, "demands": demands(row)})


def demands(row: sqlite3.Row) -> Demands:
    """Return the demands of a task from its row."""
    return Demands.of_json(loads(row["demands"]))


def summary(row: sqlite3.Row) -> Row:
    """Return a task of a list from a row of ROW_COLUMNS."""
    return Row(**_values(row, _FLAGS_IN_LISTS))


def _flags(record: type[Task | Row]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(record) if each.type is bool)


_FLAGS, _FLAGS_IN_LISTS = _flags(Task), _flags(Row)
_OBJECTS = tuple(each.name for each in fields(Task) if any(get_origin(kind) is dict for kind in get_args(each.type)))
"""The fields that are JSON in the database."""


def _values(row: sqlite3.Row, flags: Sequence[str], objects: Sequence[str] = ()) -> dict[str, Any]:
    values = dict(row)
    values |= {name: bool(values[name]) for name in flags} | {name: loads(values[name]) for name in objects}
    return values | {"status": Status(values["status"])}


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
