"""Comparison of the store with the model after every operation; nothing in the store is left over."""

import json
import sqlite3
from collections import Counter
from itertools import groupby
from typing import Any

from storage.records.graphs import Graph
from storage.records.lists import Filter, Page
from storage.records.states import CALL_ENDED, DEPENDENCIES, ENDED, LOST, CallStatus, Status
from storage.records.tasks import NOBODY, Snapshot
from tests.storage.stateful.model import Task
from tests.storage.stateful.work import Model

TALLIES = (
    *("status", "agent", "task_list", "assigned_agent", "triggering_agent", "internal_status", "parent", "root"),
    *("status agent", "status task_list", "status assigned_agent", "task_list assigned_agent"),
)


def dump(db: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything in the database."""
    names = [row["name"] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    return {name: [tuple(row) for row in db.execute(f"SELECT * FROM {name}")] for name in names}


def check(db: sqlite3.Connection, model: Model) -> dict[int, str]:
    """Return the whole database against the model, and against itself; returns the tasks by their numbers."""
    tasks = {row["id"]: dict(row) for row in db.execute("SELECT * FROM tasks")}
    assert sorted(tasks, key=lambda task_id: tasks[task_id]["seq"]) == list(model.tasks)
    for task_id, row in tasks.items():
        stored, expected = _stored(db, row), _expected(model.tasks[task_id])
        different = {name: (stored[name], value) for name, value in expected.items() if stored[name] != value}
        assert not different, f"{task_id} (found, expected): {different}"
    _check_conversations(db, model)
    _check_calls(db, tasks, model)
    _check_work(db, tasks)
    _check_logs(db, tasks)
    _check_tallies(db, tasks)
    _check_nobody_waits_in_vain(db, model)
    assert not db.execute("PRAGMA foreign_key_check").fetchall()
    return {row["seq"]: task_id for task_id, row in tasks.items()}


def check_snapshot(found: Snapshot, task: Task, model: Model) -> None:
    """Check a task as it is shown, with what belongs to it."""
    own = list(model.tasks.values())
    assert found.related is not None
    assert (found.task.status, found.task.blocked_reason) == (task.status, task.reason)
    assert set(found.depends_on) == set(task.needs)
    assert set(found.blocked_by) == task.waits_for
    assert {each.id for each in found.related.depends_on} == set(task.needs)
    assert {each.id for each in found.related.dependents} == {each.id for each in own if task.id in each.needs}
    assert {each.id for each in found.related.subtasks} == {each.id for each in own if each.parent == task.id}
    assert found.task.message_count == _message_count(model, task)
    shown = [message.task_id for message in found.messages]
    counts = {each.id: each.messages for each in own if _shows(each, task)}
    assert Counter(shown) == counts
    assert [message.at for message in found.messages] == sorted(message.at for message in found.messages)
    assert [event.number for event in found.events] == list(range(1, found.task.last_event + 1))
    assert found.waiting == len(task.undecided)
    assert {name for name, source in found.secrets.items() if source == "literal"} == task.literals


def check_rows(page: Page, model: Model) -> None:
    """Check what a list says of its tasks."""
    for row in page.tasks:
        task = model.tasks[row.id]
        assert (row.status, row.parent, row.title) == (task.status, task.parent, task.columns["title"])
        assert row.message_count == _message_count(model, task)
        assert page.waiting.get(row.seq, 0) == len(task.undecided)
        blocked_by = page.blocked_by.get(row.seq, [])
        assert set(blocked_by) <= task.waits_for
        assert len(blocked_by) == min(3, len(task.waits_for)) or task.status is not Status.BLOCKED


def check_graph(graph: Graph, owner: str, task_list: str, model: Model) -> None:
    """Check the graph of a list: its tasks, both sides of each, and those where it begins and ends."""
    members = {
        task.id: task for task in model.tasks.values() if task.owner == owner and task.columns["task_list"] == task_list
    }
    dependents = {
        task_id: {other.id for other in model.tasks.values() if task_id in other.needs} for task_id in members
    }
    assert graph.task_count == len(members)
    assert [node.task.id for node in graph.nodes] == list(members)
    for node in graph.nodes:
        assert node.task.status == members[node.task.id].status
        assert set(node.depends_on) == set(members[node.task.id].needs)
        assert set(node.dependents) == dependents[node.task.id]
    roots = {task.id for task in members.values() if not task.needs.keys() & members.keys()}
    leaves = {task_id for task_id in members if not dependents[task_id] & members.keys()}
    assert (set(graph.roots), graph.root_count) == (roots, len(roots))
    assert (set(graph.leaves), graph.leaf_count) == (leaves, len(leaves))


def listed(model: Model, owner: str, wanted: Filter) -> list[str]:
    """Return what a list has to hold, in its order."""

    def holds(task: Task) -> bool:
        texts = f"{task.columns['title'] or ''} {task.asked.message}".split()
        return (
            task.owner == owner
            and wanted.agent in (None, task.asked.agent)
            and wanted.triggering_agent in (None, task.asked.triggering_agent)
            and all(
                getattr(wanted, name) in (None, task.columns[name])
                for name in ("task_list", "assigned_agent", "internal_status")
            )
            and wanted.parent in (None, task.parent)
            and (not wanted.statuses or task.status in wanted.statuses)
            and (wanted.created_from is None or task.created >= wanted.created_from)
            and (wanted.created_to is None or task.created <= wanted.created_to)
            and (wanted.depends_on is None or wanted.depends_on in task.needs)
            and all(word in texts for word in wanted.words)
        )

    found = [task for task in model.tasks.values() if holds(task)]
    return [task.id for task in sorted(found, key=lambda t: (0 if wanted.words else t.active, t.number), reverse=True)]


def _expected(task: Task) -> dict[str, Any]:
    return {
        "owner": task.owner,
        "status": task.status,
        "reason": task.reason,
        "error": task.error,
        "origin": task.origin,
        "needs": task.needs,
        "open": len(task.waits_for),
        "parent": task.parent,
        "depth": task.depth,
        "turn": task.turn,
        "messages": task.messages,
        "columns": task.columns,
        "calls_left": task.calls_left,
        "max_calls": task.max_calls,
        "cancelling": task.cancelling,
        "claims": task.claims,
        "started": task.started,
        "completed": task.ended,
        "active": task.active,
        "created": task.created,
        "literals": task.literals,
    }


def _stored(db: sqlite3.Connection, row: dict[str, Any]) -> dict[str, Any]:
    needs = db.execute(
        "SELECT t.id, d.satisfied FROM dependencies d JOIN tasks t ON t.seq = d.needs WHERE d.task = ?", (row["seq"],)
    )
    literals = db.execute(
        "SELECT name FROM secret_names WHERE task = ? AND turn = ? AND source = 'literal'", (row["seq"], row["turn"])
    )
    parent = db.execute("SELECT id FROM tasks WHERE seq = ?", (row["parent"],)).fetchone()
    return {
        "owner": row["principal"],
        "status": row["status"],
        "reason": row["blocked_reason"],
        "error": row["error_code"],
        "origin": _origin(row),
        "needs": {each["id"]: bool(each["satisfied"]) for each in needs},
        "open": row["open_dependencies"],
        "parent": parent["id"] if parent else None,
        "depth": row["depth"],
        "turn": row["turn"],
        "messages": row["message_count"],
        "columns": {
            name: row[name] for name in ("title", "task_list", "assigned_agent", "internal_status", "progress")
        },
        "calls_left": row["calls_left"],
        "max_calls": row["max_calls"],
        "cancelling": bool(row["cancel_requested"]),
        "claims": row["fence"],
        "started": row["started_at"] is not None,
        "completed": row["completed_at"] is not None,
        "active": row["last_activity_at"],
        "created": row["created_at"],
        "literals": {each["name"] for each in literals},
    }


def _origin(row: dict[str, Any]) -> str | None:
    """Return the first cause that the error of a task names."""
    if row["error_code"] != "DEPENDENCY_FAILED":
        return None
    return str(row["error"]).rpartition(", which ")[0].split()[-1]


def _shows(other: Task, task: Task) -> bool:
    """Return whether the messages of one task are among those that another one shows."""
    return other is task or (other.asked.conversation == task.asked.conversation and other.asked.show_in_history)


def _message_count(model: Model, task: Task) -> int:
    return sum(other.messages for other in model.tasks.values() if _shows(other, task))


def _check_conversations(db: sqlite3.Connection, model: Model) -> None:
    expected: dict[str, int] = {}
    for task in model.tasks.values():
        expected.setdefault(task.asked.conversation, 0)
        expected[task.asked.conversation] += task.messages if task.asked.show_in_history else 0
    assert dict(db.execute("SELECT id, message_count FROM conversations").fetchall()) == expected
    unused = "SELECT * FROM sessions s WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.session = s.id)"
    assert not db.execute(unused).fetchall()


def _check_calls(db: sqlite3.Connection, tasks: dict[str, dict[str, Any]], model: Model) -> None:
    rows = db.execute("SELECT c.*, t.id AS of, t.turn AS latest FROM calls c JOIN tasks t ON t.seq = c.task").fetchall()
    assert {(row["of"], row["id"]): (row["turn"], row["status"], row["outcome"]) for row in rows} == {
        (task.id, call_id): (call.turn, call.status, call.outcome)
        for task in model.tasks.values()
        for call_id, call in task.calls.items()
    }
    for row in rows:
        task = tasks[row["of"]]
        assert row["status"] in CALL_ENDED or (row["turn"] == row["latest"] and task["status"] not in ENDED)
        assert row["status"] != CallStatus.EXECUTING or task["status"] == Status.RUNNING
    waiting = {row["of"] for row in rows if row["status"] == CallStatus.AWAITING_APPROVAL}
    assert {task_id for task_id, row in tasks.items() if row["status"] == Status.AWAITING_APPROVAL} <= waiting


def _check_work(db: sqlite3.Connection, tasks: dict[str, dict[str, Any]]) -> None:
    """Check that a run is open while an agent of this server works, and that ended tasks have closed turns."""
    working = {
        (row["seq"], row["fence"])
        for row in tasks.values()
        if row["status"] == Status.RUNNING and row["agent"] != NOBODY
    }
    assert {tuple(row) for row in db.execute("SELECT task, fence FROM runs WHERE ended_at IS NULL")} == working
    turns = db.execute("SELECT task, number, status FROM turns ORDER BY task, number").fetchall()
    by_task = {seq: list(rows) for seq, rows in groupby(turns, key=lambda row: row["task"])}
    for task in tasks.values():
        *earlier, latest = by_task[task["seq"]]
        assert [turn["number"] for turn in (*earlier, latest)] == list(range(1, task["turn"] + 1))
        assert all(turn["status"] in ENDED for turn in earlier)
        assert latest["status"] == (task["status"] if task["status"] in ENDED else None)


def _check_logs(db: sqlite3.Connection, tasks: dict[str, dict[str, Any]]) -> None:
    """Events go from 1 without a gap; the last of a task, and of its sub-tasks, say how they stand."""
    events = db.execute("SELECT task, number, kind, data FROM events ORDER BY task, number").fetchall()
    logs = {seq: list(rows) for seq, rows in groupby(events, key=lambda row: row["task"])}
    told: dict[tuple[int, str], str] = {}
    for task in tasks.values():
        log = logs[task["seq"]]
        assert [event["number"] for event in log] == list(range(1, task["last_event"] + 1))
        said = [json.loads(event["data"])["status"] for event in log if event["kind"] == "status"]
        assert said[-1] == task["status"]
        for event in log:
            if event["kind"] == "subtask":
                data = json.loads(event["data"])
                told[task["seq"], data["taskId"]] = data["status"]
    for task_id, task in tasks.items():
        assert task["parent"] is None or told[task["parent"], task_id] == task["status"]


def _check_tallies(db: sqlite3.Connection, tasks: dict[str, dict[str, Any]]) -> None:
    expected: Counter[tuple[str, str, str, str]] = Counter()
    for row in tasks.values():
        for name in TALLIES:
            values = [row[column] for column in name.split()]
            if None not in values:
                first, second = (*map(str, values), "")[:2]
                expected[name, first, second, row["principal"]] += 1
    stored = {tuple(row)[:4]: row["n"] for row in db.execute("SELECT filter, first, second, principal, n FROM tallies")}
    assert stored == expected


def _check_nobody_waits_in_vain(db: sqlite3.Connection, model: Model) -> None:
    untold = {row["id"] for row in db.execute("SELECT t.id FROM propagations JOIN tasks t ON seq = task")}
    assert untold == set(model.untold)
    for task in model.tasks.values():
        if task.reason == DEPENDENCIES:
            assert task.waits_for
            assert all(not model.tasks[each].ended or each in untold for each in task.waits_for)
        elif task.status is Status.BLOCKED:
            assert task.reason == LOST or task.asked.agent == NOBODY
