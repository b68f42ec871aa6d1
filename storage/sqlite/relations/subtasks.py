"""Sub-tasks created by agents: which of them a task waits for, and what its agent may see."""

import json
import sqlite3
from collections.abc import Collection, Mapping

from storage.records.tasks import AGENT, Principal
from storage.sqlite import rows
from storage.sqlite.relations.dependencies import family
from storage.sqlite.transitions.status import go_on_without

MOST_WAITING = 50
"""Sub-tasks waiting for approval that are named."""

# Those of these tasks beneath which something continues by itself, or would with a slot: among the sub-tasks that their
# agents created, at any depth, and the dependencies of those. What waits for a person does not count. The search goes
# up from the open sub-tasks, which are few, as many ended ones may lie beneath a task. Subqueries replace joins, for
# which SQLite would first build a filter of all tasks.
_ACTIVE = f"""WITH RECURSIVE above (seq, maker) AS (
        SELECT seq, parent FROM tasks INDEXED BY tasks_made_open WHERE completed_at IS NULL AND source = '{AGENT}'
        UNION ALL SELECT seq, (SELECT parent FROM tasks WHERE seq = maker AND source = '{AGENT}') FROM above
            WHERE maker IS NOT NULL),
    behind (top, seq) AS (
        SELECT maker, seq FROM above WHERE maker IN (SELECT value FROM json_each(?))
        UNION SELECT behind.top, above.seq FROM behind CROSS JOIN above ON above.maker = behind.seq
        UNION SELECT behind.top, d.needs FROM behind CROSS JOIN dependencies d ON d.task = behind.seq
            WHERE d.satisfied = 0)
    SELECT DISTINCT top FROM behind
    WHERE (SELECT status IN ('pending', 'running') AND agent <> 'none' FROM tasks WHERE seq = behind.seq)"""


def is_beneath(db: sqlite3.Connection, principal: Principal, task_id: str, above: int) -> bool:
    """Return whether the agent of the task `above` created this task, directly or through its sub-tasks' agents.

    Tasks that other callers put beneath it may have more rights than its agent, which must not see them.
    """
    task = db.execute("SELECT seq FROM tasks WHERE id = ? AND principal = ?", (task_id, principal.id)).fetchone()
    return task is not None and above in makers(db, task["seq"])


def known(db: sqlite3.Connection, principal: Principal, ids: list[str], asker: int | None) -> list[str]:
    """Return those of these ids that the caller may see: all, unless it is the agent of the task `asker`."""
    return ids if asker is None else [each for each in ids if is_beneath(db, principal, each, asker)]


def made_beneath(asker: str) -> str:
    """Return SQL for the ids that the agent of a task may see; `asker` is SQL for the task's number."""
    return f"""WITH RECURSIVE made (seq, id) AS (
            SELECT seq, id FROM tasks INDEXED BY tasks_by_parent WHERE parent = {asker} AND source = '{AGENT}'
            UNION ALL SELECT t.seq, t.id FROM made JOIN tasks t INDEXED BY tasks_by_parent ON t.parent = made.seq
                WHERE t.source = '{AGENT}')
        SELECT id FROM made"""


def makers(db: sqlite3.Connection, seq: int) -> list[int]:
    """Return the numbers of the tasks whose agents created this one: its parent, the parent's, and so on."""
    found = db.execute(
        """WITH RECURSIVE makers (seq, distance) AS (
               SELECT parent, 1 FROM tasks WHERE seq = ?1 AND source = ?2
               UNION ALL SELECT t.parent, distance + 1 FROM makers JOIN tasks t ON t.seq = makers.seq
               WHERE t.source = ?2)
           SELECT seq FROM makers ORDER BY distance""",
        (seq, AGENT),
    )
    return [row["seq"] for row in found]


def await_ends(db: sqlite3.Connection, task: sqlite3.Row, awaited: Mapping[str, int], at: int) -> bool:
    """Make the task of an ended run wait for these tasks, each until a time; returns whether it waits.

    It resumes once all of them have ended, or the earliest time of an open one has passed; if that is so now, it does
    not wait at all.
    """
    db.execute("DELETE FROM awaited WHERE task = ?", (task["seq"],))
    db.executemany(
        f"""INSERT INTO awaited SELECT ?, seq, ? FROM tasks
            WHERE id = ? AND principal = ? AND status NOT IN {rows.ENDED_SQL}""",
        [(task["seq"], until, task_id, task["principal"]) for task_id, until in awaited.items()],
    )
    (earliest,) = db.execute("SELECT min(until) FROM awaited WHERE task = ?", (task["seq"],)).fetchone()
    if earliest is not None and earliest > at:
        return True
    db.execute("DELETE FROM awaited WHERE task = ?", (task["seq"],))
    return False


def awaited(db: sqlite3.Connection, seq: int, most: int) -> list[str]:
    """Return the ids of the sub-tasks that a task waits for."""
    found = db.execute(
        "SELECT t.id FROM awaited a CROSS JOIN tasks t ON t.seq = a.subtask WHERE a.task = ? LIMIT ?", (seq, most)
    )
    return [row["id"] for row in found]


def wake(db: sqlite3.Connection, at: int) -> bool:
    """Resume the tasks whose time of waiting is over; returns whether there were any."""
    found = db.execute("SELECT DISTINCT task FROM awaited INDEXED BY awaited_until WHERE until <= ?", (at,)).fetchall()
    for row in found:
        go_on_without(db, row["task"], at)
    return bool(found)


def next_wake(db: sqlite3.Connection) -> int | None:
    """Return when the next task's time of waiting is over; None if none waits."""
    (until,) = db.execute("SELECT min(until) FROM awaited INDEXED BY awaited_until").fetchone()
    return until  # type: ignore[no-any-return]


def having_active(db: sqlite3.Connection, seqs: Collection[int]) -> set[int]:
    """Return those of these tasks whose agents may wait for sub-tasks that run, or would if there was a slot."""
    return {row["top"] for row in db.execute(_ACTIVE, (json.dumps(list(seqs)),))}


def awaiting_approval(db: sqlite3.Connection, seq: int) -> list[str]:
    """Return the ids of the first sub-tasks, at any depth, that wait for approval."""
    found = db.execute(
        """WITH RECURSIVE beneath (seq) AS (
               SELECT seq FROM tasks INDEXED BY tasks_by_parent WHERE parent = ?
               UNION ALL SELECT t.seq FROM beneath b JOIN tasks t INDEXED BY tasks_by_parent ON t.parent = b.seq)
           SELECT t.id FROM beneath b CROSS JOIN tasks t ON t.seq = b.seq
           WHERE t.status = 'awaiting_approval' LIMIT ?""",
        (seq, MOST_WAITING),
    )
    return [row["id"] for row in found]


def made_by(db: sqlite3.Connection, seq: int) -> list[sqlite3.Row]:
    """Return the open sub-tasks that the agent of this task created, with everything beneath them."""
    made = db.execute(
        f"""SELECT seq FROM tasks INDEXED BY tasks_by_parent
            WHERE parent = ? AND source = ? AND status NOT IN {rows.ENDED_SQL}""",
        (seq, AGENT),
    ).fetchall()
    return [member for row in made for member in family(db, row["seq"])]


def still_shared(owner: str) -> str:
    """Return an SQL condition: an open sub-task works in the folder of the task `owner`, whose id its path contains."""
    return f"""EXISTS (
        WITH lent (path) AS MATERIALIZED (
            SELECT (SELECT path FROM workspaces WHERE task = made.seq AND owner = 'task')
            FROM tasks made INDEXED BY tasks_made_open WHERE made.completed_at IS NULL AND made.source = '{AGENT}')
        SELECT 1 FROM lent WHERE instr(lent.path || '/', '/' || {owner}.id || '/'))"""


def stopping(db: sqlite3.Connection, seq: int) -> list[str]:
    """Return the ids of the cancelled tasks beneath this one whose runs are still to be ended."""
    return [task["id"] for task in family(db, seq)[1:] if task["cancel_requested"]]
