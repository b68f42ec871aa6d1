"""Deletion of tasks, with everything that belongs to them."""

import sqlite3
from collections.abc import Iterable

from server.errors import Code, RemitError
from storage.errors import MOST_NAMED
from storage.records.states import ENDED, Status
from storage.records.tasks import Principal
from storage.sqlite.connection import changes_of
from storage.sqlite.relations import task_folders
from storage.sqlite.relations.propagation import ended_and_told
from storage.sqlite.relations.task_secrets import keep_after_removal
from storage.sqlite.transitions.conversations import remove_messages
from storage.sqlite.transitions.status import owned

CHUNK = 200
"""Tasks removed in one transaction; the rest of a deletion cut off by a crash can be deleted again."""


def deletion_set(db: sqlite3.Connection, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
    """Return the ids that are deleted with a task: all beneath it and, with `cascade`, all dependants; nearest first.

    Raises RemitError: NOT_FOUND, or without `cascade` TASK_HAS_DEPENDENTS that names them.
    """
    dependants = "UNION SELECT d.task FROM going JOIN dependencies d INDEXED BY dependants ON d.needs = going.seq"
    found = db.execute(
        f"""WITH RECURSIVE going (seq) AS (
                VALUES (?)
                UNION SELECT t.seq FROM going JOIN tasks t INDEXED BY tasks_by_parent ON t.parent = going.seq
                {dependants if cascade else ""})
            SELECT going.seq, t.id FROM going CROSS JOIN tasks t ON t.seq = going.seq""",
        (owned(db, principal, task_id)["seq"],),
    )
    going = {row["seq"]: row["id"] for row in found}
    if not cascade:
        _refuse_dependants(db, set(going))
    return list(going.values())


def open_deletion_set(db: sqlite3.Connection, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
    """Return those of `deletion_set` that have not ended. Raises RemitError as it does."""
    going = deletion_set(db, principal, task_id, cascade=cascade)
    found = [db.execute("SELECT status FROM tasks WHERE id = ?", (each,)).fetchone() for each in going]
    return [each for each, task in zip(going, found, strict=True) if task["status"] not in ENDED]


def removable(db: sqlite3.Connection, principal: Principal, task_id: str, *, cascade: bool) -> list[str]:
    """Return `deletion_set` if nothing of it is running. Raises RemitError as it does, and CONFLICT if something is."""
    going = deletion_set(db, principal, task_id, cascade=cascade)
    _refuse_running([db.execute("SELECT status FROM tasks WHERE id = ?", (each,)).fetchone() for each in going])
    return going


def delete_some(
    db: sqlite3.Connection, principal: Principal, task_id: str, going: list[str], at: int, *, cascade: bool
) -> tuple[list[str], list[str]]:
    """Remove the last tasks of `going`, the deletion set of a task; returns the removed ids and those that are left.

    If other tasks have joined the set meanwhile, it is determined anew and nothing is removed. Raises RemitError as
    `removable` does.
    """
    owned(db, principal, task_id)
    left, chunk = going[:-CHUNK], going[-CHUNK:][::-1]
    found = [db.execute("SELECT * FROM tasks WHERE id = ?", (each,)).fetchone() for each in chunk]
    tasks = [row for row in found if row is not None]
    if _newcomers(db, tasks, going):
        return [], removable(db, principal, task_id, cascade=cascade)
    _refuse_running(tasks)
    for task in tasks:
        remove(db, ended_and_told(db, task["seq"], at))
    return [task["id"] for task in tasks], left


def remove(db: sqlite3.Connection, task: sqlite3.Row) -> None:
    """Remove one task, and its relations to its dependants and sub-tasks."""
    seq = task["seq"]
    keep_after_removal(db, task)
    db.execute(
        """UPDATE tasks SET open_dependencies = open_dependencies - 1 WHERE seq IN
               (SELECT task FROM dependencies WHERE needs = ? AND satisfied = 0)""",
        (seq,),
    )
    db.execute("DELETE FROM dependencies WHERE needs = ?", (seq,))
    db.execute("UPDATE tasks SET parent = NULL WHERE parent = ?", (seq,))
    db.execute("DELETE FROM tasks WHERE seq = ?", (seq,))
    task_folders.give_up(db, task["id"])
    remove_messages(db, task)
    changes_of(db).changed.add(task["id"])
    changes_of(db).ended.add(task["id"])


def _newcomers(db: sqlite3.Connection, chunk: list[sqlite3.Row], going: list[str]) -> bool:
    """Return whether a sub-task or dependant of one of the chunk is not in the deletion set."""
    relatives = {
        row["id"]
        for task in chunk
        for row in db.execute(
            """SELECT id FROM tasks INDEXED BY tasks_by_parent WHERE parent = ?1
               UNION ALL SELECT t.id FROM dependencies d INDEXED BY dependants JOIN tasks t ON t.seq = d.task
               WHERE d.needs = ?1""",
            (task["seq"],),
        )
    }
    # The last go first: what is left beside the chunk is seldom a relative, and only then is all of it looked through.
    others = relatives.difference(task["id"] for task in chunk)
    return bool(others and others.difference(going))


def _refuse_running(tasks: Iterable[sqlite3.Row]) -> None:
    if any(task["status"] == Status.RUNNING for task in tasks):
        raise RemitError(
            Code.CONFLICT, "the task is still running; try again when it has stopped", status=Status.RUNNING
        )


def _refuse_dependants(db: sqlite3.Connection, going: set[int]) -> None:
    dependants = {
        row["task"]
        for seq in going
        for row in db.execute("SELECT task FROM dependencies WHERE needs = ?", (seq,))
        if row["task"] not in going
    }
    if dependants:
        named = sorted(dependants)[:MOST_NAMED]
        ids = [db.execute("SELECT id FROM tasks WHERE seq = ?", (seq,)).fetchone()["id"] for seq in named]
        left_out = ", …" if len(ids) < len(dependants) else ""
        raise RemitError(
            Code.TASK_HAS_DEPENDENTS,
            f"{len(dependants)} other task{'s depend' if len(dependants) > 1 else ' depends'} on it; delete with "
            f"cascade to remove them too, or change their dependsOn first: {', '.join(ids)}{left_out}",
            dependents=ids,
            count=len(dependants),
        )
