"""Sub-tasks that an agent has made: who waits for which, what waits for a person, and what ends with their parent."""

import json
import sqlite3
from collections.abc import Collection, Mapping

from storage.records.states import ENDED_SQL
from storage.records.tasks import AGENT, Principal, Run
from storage.sqlite.relations.dependencies import family
from storage.sqlite.transitions.status import go_on_without, held

MOST_WAITING = 50
"""Sub-tasks named that wait for approval."""

# Of what the agents of these tasks have made, at any depth, and of what that waits for: what goes on by itself, or
# will with a place. Whatever waits for a person is none of it, nor what waits for such. It is looked for from the open
# ones up, which are few: of those that have ended, there may be many beneath a task. The subqueries stand for joins,
# for which SQLite would make a filter of all tasks first.
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
    """Whether a task of this principal was made by the agent of that one, or by one that was, at any depth.

    What others have put beneath it may have more rights than its agent, and is none of its business.
    """
    task = db.execute("SELECT seq FROM tasks WHERE id = ? AND principal = ?", (task_id, principal.id)).fetchone()
    return task is not None and above in makers(db, task["seq"])


def known(db: sqlite3.Connection, principal: Principal, ids: list[str], asker: int | None) -> list[str]:
    """Those of these tasks that whoever asks may know of: all, unless it is the agent of the task `asker`."""
    return ids if asker is None else [each for each in ids if is_beneath(db, principal, each, asker)]


def made_beneath(asker: str) -> str:
    """The ids of what is beneath the task of this number, as its agent may know it, as SQL."""
    return f"""WITH RECURSIVE made (seq, id) AS (
            SELECT seq, id FROM tasks INDEXED BY tasks_by_parent WHERE parent = {asker} AND source = '{AGENT}'
            UNION ALL SELECT t.seq, t.id FROM made JOIN tasks t INDEXED BY tasks_by_parent ON t.parent = made.seq
                WHERE t.source = '{AGENT}')
        SELECT id FROM made"""


def makers(db: sqlite3.Connection, seq: int) -> list[int]:
    """The tasks by whose agents this one was made: its parent, the one that made that in turn, and so on."""
    found = db.execute(
        """WITH RECURSIVE makers (seq, distance) AS (
               SELECT parent, 1 FROM tasks WHERE seq = ?1 AND source = ?2
               UNION ALL SELECT t.parent, distance + 1 FROM makers JOIN tasks t ON t.seq = makers.seq
               WHERE t.source = ?2)
           SELECT seq FROM makers ORDER BY distance""",
        (seq, AGENT),
    )
    return [row["seq"] for row in found]


def await_ends(db: sqlite3.Connection, run: Run, awaited: Mapping[str, int], at: int) -> bool:
    """Have the task of a run that is about to end wait for these, each until a time; whether any of them is open.

    It goes on once all of them have ended, or the earliest of the times has come.
    """
    task = held(db, run)
    db.execute("DELETE FROM awaited WHERE task = ?", (run.seq,))
    db.executemany(
        f"""INSERT INTO awaited SELECT ?, seq, ? FROM tasks
            WHERE id = ? AND principal = ? AND status NOT IN {ENDED_SQL}""",
        [(run.seq, until, task_id, task["principal"]) for task_id, until in awaited.items() if until > at],
    )
    return db.execute("SELECT 1 FROM awaited WHERE task = ?", (run.seq,)).fetchone() is not None


def awaited(db: sqlite3.Connection, seq: int, most: int) -> list[str]:
    """The ids of the sub-tasks that a task waits for."""
    found = db.execute(
        "SELECT t.id FROM awaited a CROSS JOIN tasks t ON t.seq = a.subtask WHERE a.task = ? LIMIT ?", (seq, most)
    )
    return [row["id"] for row in found]


def wake(db: sqlite3.Connection, at: int) -> bool:
    """Let the tasks go on that have waited long enough; whether there were any."""
    found = db.execute("SELECT DISTINCT task FROM awaited INDEXED BY awaited_until WHERE until <= ?", (at,)).fetchall()
    for row in found:
        go_on_without(db, row["task"], at)
    return bool(found)


def next_wake(db: sqlite3.Connection) -> int | None:
    """When the next task has waited long enough."""
    (until,) = db.execute("SELECT min(until) FROM awaited INDEXED BY awaited_until").fetchone()
    return until  # type: ignore[no-any-return]


def having_active(db: sqlite3.Connection, seqs: Collection[int]) -> set[int]:
    """Those of these tasks whose agents may wait for others that are at work, or would be if there was a place."""
    return {row["top"] for row in db.execute(_ACTIVE, (json.dumps(list(seqs)),))}


def awaiting_approval(db: sqlite3.Connection, seq: int) -> list[str]:
    """The ids of the first tasks beneath this one that wait for approval, at any depth."""
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
    """The open sub-tasks that the agent of this task has made, with all that is beneath them."""
    made = db.execute(
        f"""SELECT seq FROM tasks INDEXED BY tasks_by_parent
            WHERE parent = ? AND source = ? AND status NOT IN {ENDED_SQL}""",
        (seq, AGENT),
    ).fetchall()
    return [member for row in made for member in family(db, row["seq"])]


def still_shared(owner: str) -> str:
    """Whether one that is open works in the folder of the task `owner`, as SQL; the path of that has the task's id."""
    return f"""EXISTS (
        WITH lent (path) AS MATERIALIZED (
            SELECT (SELECT path FROM workspaces WHERE task = made.seq AND owner = 'task')
            FROM tasks made INDEXED BY tasks_made_open WHERE made.completed_at IS NULL AND made.source = '{AGENT}')
        SELECT 1 FROM lent WHERE instr(lent.path || '/', '/' || {owner}.id || '/'))"""


def stopping(db: sqlite3.Connection, seq: int) -> list[str]:
    """The ids of the tasks beneath this one whose runs are to be ended."""
    return [task["id"] for task in family(db, seq)[1:] if task["cancel_requested"]]
