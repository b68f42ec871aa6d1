"""Dependencies between tasks, and the positions of sub-tasks beneath their parents."""

import json
import sqlite3
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from server.errors import Code, RemitError
from storage.records.events import EventKind
from storage.records.states import DEPENDENCIES, ENDED, Status
from storage.records.tasks import NOBODY, NestingLimits, OnFailure, Principal
from storage.sqlite.transitions.status import log, owned, set_status

MOST_NEEDED = 50_000
"""Tasks searched for a cycle, while other writers wait."""

_SHOWN = 5  # tasks at either end of a long cycle


@dataclass(frozen=True, slots=True)
class Dependency:
    """A task that another one waits for, or has waited for."""

    seq: int
    satisfied: bool


@dataclass(frozen=True, slots=True)
class TreePosition:
    """The position of a sub-task: its parent, its root and its depth."""

    parent: int
    root: int
    depth: int


def find_dependencies(
    db: sqlite3.Connection,
    principal: Principal,
    ids: Iterable[str],
    on_failure: OnFailure,
    satisfied: Collection[int] = (),
) -> list[Dependency]:
    """Return the dependencies with these ids for a new or changed task; those in `satisfied` count as met.

    Raises RemitError that names the task: NOT_FOUND for an unknown one, DEPENDENCY_FAILED for one that failed or was
    cancelled.
    """
    found = []
    for task_id in dict.fromkeys(ids):
        task = owned(db, principal, task_id, field="dependsOn")
        status = Status(task["status"])
        satisfied_once = task["seq"] in satisfied
        if status in ENDED and status is not Status.COMPLETED and on_failure == "fail" and not satisfied_once:
            raise failed_already(task_id, status)
        found.append(Dependency(task["seq"], satisfied_once or status in ENDED))
    return found


def failed_already(task_id: str, status: str) -> RemitError:
    """Return the error for a dependency that can no longer be satisfied."""
    how = "was cancelled" if status == Status.CANCELLED else "has failed"
    return RemitError(
        Code.DEPENDENCY_FAILED,
        f"dependsOn: the task {task_id} {how}; send it a message to try again, or leave it out (update_task changes "
        "dependsOn)",
        field="dependsOn",
        id=task_id,
    )


def insert_dependencies(db: sqlite3.Connection, seq: int, dependencies: Sequence[Dependency]) -> None:
    """Insert the dependencies of a task."""
    db.executemany(
        "INSERT INTO dependencies VALUES (?, ?, ?)", [(seq, each.seq, each.satisfied) for each in dependencies]
    )


def replace_dependencies(
    db: sqlite3.Connection, principal: Principal, task: sqlite3.Row, ids: Sequence[str], at: int
) -> None:
    """Replace the dependencies of a task that is not running; those once satisfied stay satisfied.

    A record that was reported as blocked stays so, whatever it waits for. Raises RemitError: CONFLICT for a task that
    is running, DEPENDENCY_CYCLE with the cycle, LIMIT_EXCEEDED if there are too many to search for one, and what
    `find_dependencies` raises.
    """
    status = Status(task["status"])
    waits = task["blocked_reason"] == DEPENDENCIES and task["open_dependencies"] > 0
    by_hand = task["agent"] == NOBODY and status is Status.BLOCKED
    if not (waits or by_hand or status in {Status.PENDING, *ENDED}):
        raise RemitError(
            Code.CONFLICT,
            f"dependsOn: the task is {status}; what it waits for can be changed before it starts and after its end",
            field="dependsOn",
            status=status,
        )
    met = db.execute("SELECT needs FROM dependencies WHERE task = ? AND satisfied = 1", (task["seq"],))
    satisfied = {row["needs"] for row in met}
    wanted = find_dependencies(db, principal, ids, task["on_dependency_failure"], satisfied)
    _refuse_cycle(db, task, wanted)
    db.execute("DELETE FROM dependencies WHERE task = ?", (task["seq"],))
    insert_dependencies(db, task["seq"], wanted)
    still_open = sum(not each.satisfied for each in wanted)
    db.execute("UPDATE tasks SET open_dependencies = ? WHERE seq = ?", (still_open, task["seq"]))
    if still_open and status is Status.PENDING:
        set_status(db, task, Status.BLOCKED, at, blocked_reason=DEPENDENCIES)
    elif not still_open and waits:
        set_status(db, task, Status.PENDING, at)


def blocking(db: sqlite3.Connection, seq: int, most: int) -> list[str]:
    """Return the ids of the unsatisfied dependencies, `most` at most."""
    found = db.execute(
        """SELECT t.id FROM dependencies d JOIN tasks t ON t.seq = d.needs
           WHERE d.task = ? AND d.satisfied = 0 LIMIT ?""",
        (seq, most),
    )
    return [row["id"] for row in found]


def needed(db: sqlite3.Connection, seq: int, most: int) -> list[str]:
    """Return the ids of the dependencies, `most` at most."""
    found = db.execute(
        "SELECT t.id FROM dependencies d JOIN tasks t ON t.seq = d.needs WHERE d.task = ? LIMIT ?", (seq, most)
    )
    return [row["id"] for row in found]


def count_needed(db: sqlite3.Connection, seq: int) -> int:
    """Return the number of dependencies."""
    return int(db.execute("SELECT count(*) FROM dependencies WHERE task = ?", (seq,)).fetchone()[0])


def find_position(db: sqlite3.Connection, principal: Principal, parent_id: str, nesting: NestingLimits) -> TreePosition:
    """Return the position of a new sub-task of this parent.

    Raises RemitError: NOT_FOUND for an unknown parent, CONFLICT for a cancelled one, LIMIT_EXCEEDED beyond a limit of
    `nesting`.
    """
    parent = owned(db, principal, parent_id, field="parentTaskId")
    if parent["cancel_requested"] or parent["status"] == Status.CANCELLED:
        raise RemitError(
            Code.CONFLICT, "parentTaskId: the task was cancelled; it takes no sub-tasks", field="parentTaskId"
        )
    position = TreePosition(parent["seq"], parent["root"] or parent["seq"], parent["depth"] + 1)
    if position.depth > nesting.depth:
        raise _too_many(f"sub-tasks go {nesting.depth} levels deep at most (setting subtasks.depth)", nesting.depth)
    row = db.execute(
        "SELECT n FROM tallies WHERE filter = 'root' AND first = ? AND second = '' AND principal = ?",
        (str(position.root), principal.id),
    ).fetchone()
    if row and row["n"] >= nesting.count:
        raise _too_many(
            f"there are {row['n']} tasks beneath the first one already; at most {nesting.count} are allowed "
            "(setting subtasks.count)",
            nesting.count,
        )
    return position


def tell_parent(db: sqlite3.Connection, parent: int, task_id: str, status: Status, at: int) -> None:
    """Log a new sub-task in its parent's log."""
    log(db, parent, EventKind.SUBTASK, {"taskId": task_id, "status": status}, at)


def family(db: sqlite3.Connection, seq: int) -> list[sqlite3.Row]:
    """Return the rows of a task and of everything beneath it, the upper ones first."""
    return db.execute(
        """WITH RECURSIVE family (member) AS (
               VALUES (?) UNION ALL SELECT t.seq FROM tasks t JOIN family ON t.parent = family.member)
           SELECT t.* FROM family JOIN tasks t ON t.seq = family.member""",
        (seq,),
    ).fetchall()


def _too_many(message: str, most: int) -> RemitError:
    return RemitError(Code.LIMIT_EXCEEDED, f"parentTaskId: {message}", field="parentTaskId", most=most)


def _refuse_cycle(db: sqlite3.Connection, task: sqlite3.Row, wanted: Sequence[Dependency]) -> None:
    """Search for the task among everything that its new dependencies depend on. Raises RemitError.

    A task without dependants is in no cycle.
    """
    goal, first = task["seq"], [each.seq for each in wanted]
    if goal not in first and not db.execute("SELECT 1 FROM dependencies WHERE needs = ?", (goal,)).fetchone():
        return
    found, looked_at = db.execute(
        """WITH RECURSIVE needed (seq) AS (
               SELECT value FROM json_each(?) UNION
               SELECT d.needs FROM needed JOIN dependencies d ON d.task = needed.seq LIMIT ?)
           SELECT max(seq = ?), count(*) FROM needed""",
        (json.dumps(first), MOST_NEEDED + 1, goal),
    ).fetchone()
    if found:
        raise _cycle(db, _way(db, goal, first))
    if looked_at > MOST_NEEDED:
        raise RemitError(
            Code.LIMIT_EXCEEDED,
            f"dependsOn: these depend on more than {MOST_NEEDED} other tasks, too many to check whether one of them "
            "waits for this task; make a new task that depends on them instead",
            field="dependsOn",
            most=MOST_NEEDED,
        )


def _way(db: sqlite3.Connection, goal: int, first: Sequence[int]) -> list[int]:
    """Return the shortest cycle through a task, which is its first and last element."""
    came_from = dict.fromkeys(first, goal)
    waiting = deque(came_from)
    while (seq := waiting.popleft()) != goal:
        for row in db.execute("SELECT needs FROM dependencies WHERE task = ?", (seq,)):
            if row["needs"] not in came_from:
                came_from[row["needs"]] = seq
                waiting.append(row["needs"])
    way = [goal, came_from[goal]]
    while way[-1] != goal:
        way.append(came_from[way[-1]])
    return way[::-1]


def _cycle(db: sqlite3.Connection, way: Sequence[int]) -> RemitError:
    shown = way if len(way) <= 2 * _SHOWN else [*way[:_SHOWN], *way[-_SHOWN:]]
    ids = [db.execute("SELECT id FROM tasks WHERE seq = ?", (seq,)).fetchone()["id"] for seq in shown]
    left_out = ", the middle left out" if len(shown) < len(way) else ""
    return RemitError(
        Code.DEPENDENCY_CYCLE,
        f"dependsOn: the task would wait for itself, in a circle of {len(way) - 1}{left_out}: {' -> '.join(ids)}",
        field="dependsOn",
        cycle=ids,
        length=len(way) - 1,
    )
