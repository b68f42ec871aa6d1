"""Removing tasks, with what goes with them."""

import sqlite3

from server.errors import Code, RemitError
from storage.connection import news
from storage.conversations import leave
from storage.moves import owned
from storage.propagation import ended_and_told
from storage.records import Principal
from storage.states import ENDED, Status

CHUNK = 200
"""Tasks removed in one transaction; what a crash leaves of a larger removal can be removed again."""

_NAMED = 20  # dependants that an error names


def doomed(db: sqlite3.Connection, principal: Principal, task_id: str, *, cascade: bool) -> list[sqlite3.Row]:
    """What goes with a task: everything beneath it and, with `cascade`, what depends on any of it; nearest first.

    Raises RemitError: NOT_FOUND, or without `cascade` TASK_HAS_DEPENDENTS that names them.
    """
    first = owned(db, principal, task_id)
    found: dict[int, sqlite3.Row] = {first["seq"]: first}
    waiting = [first["seq"]]
    for seq in waiting:
        for row in _with(db, seq, cascade):
            if row["seq"] not in found:
                found[row["seq"]] = row
                waiting.append(row["seq"])
    if not cascade:
        _refuse_dependants(db, set(found))
    return list(found.values())


def open_doomed(db: sqlite3.Connection, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
    """The ids of those that `doomed` finds and that have not ended."""
    return [task["id"] for task in doomed(db, principal, task_id, cascade=cascade) if task["status"] not in ENDED]


def delete_some(
    db: sqlite3.Connection, principal: Principal, task_id: str, at: int, *, cascade: bool
) -> tuple[list[str], bool]:
    """Remove the next of the tasks that go with this one, itself last; their ids, and whether some are left.

    Raises what `doomed` raises, and CONFLICT for one that is still running.
    """
    going = doomed(db, principal, task_id, cascade=cascade)[::-1]
    chunk = going[:CHUNK]
    for task in going:  # all of them, so that nothing is gone before it is refused
        if task["status"] == Status.RUNNING:
            raise RemitError(
                Code.CONFLICT, "the task is still running; try again when it has stopped", status=task["status"]
            )
    for task in chunk:
        remove(db, ended_and_told(db, task["seq"], at))
    return [task["id"] for task in chunk], len(going) > len(chunk)


def remove(db: sqlite3.Connection, task: sqlite3.Row) -> None:
    """Remove one task, with its place in what others depend on and belong to."""
    seq = task["seq"]
    db.execute(
        """UPDATE tasks SET open_dependencies = open_dependencies - 1 WHERE seq IN
               (SELECT task FROM dependencies WHERE needs = ? AND satisfied = 0)""",
        (seq,),
    )
    db.execute("DELETE FROM dependencies WHERE needs = ?", (seq,))
    db.execute("UPDATE tasks SET parent = NULL WHERE parent = ?", (seq,))
    db.execute("DELETE FROM tasks WHERE seq = ?", (seq,))
    leave(db, task)
    news(db).changed.add(task["id"])
    news(db).ended.add(task["id"])


def _with(db: sqlite3.Connection, seq: int, cascade: bool) -> list[sqlite3.Row]:
    found = db.execute("SELECT * FROM tasks WHERE parent = ?", (seq,)).fetchall()
    if cascade:
        found += db.execute(
            "SELECT t.* FROM dependencies d JOIN tasks t ON t.seq = d.task WHERE d.needs = ?", (seq,)
        ).fetchall()
    return found


def _refuse_dependants(db: sqlite3.Connection, going: set[int]) -> None:
    dependants = {
        row["task"]
        for seq in going
        for row in db.execute("SELECT task FROM dependencies WHERE needs = ?", (seq,))
        if row["task"] not in going
    }
    if dependants:
        named = sorted(dependants)[:_NAMED]
        ids = [db.execute("SELECT id FROM tasks WHERE seq = ?", (seq,)).fetchone()["id"] for seq in named]
        raise RemitError(
            Code.TASK_HAS_DEPENDENTS,
            f"{len(dependants)} other task{'s depend' if len(dependants) > 1 else ' depends'} on it; delete with "
            "cascade to remove them too, or change their dependsOn first",
            dependents=ids,
            count=len(dependants),
        )
