"""Retention: finds data of ended tasks that was kept long enough, and removes it in chunks.

A task is removed once it and all its ancestors ended long enough ago, but not before its sub-tasks, and not while
another task waits for it, so that a removal makes no task fail; nor while it has a worktree, which is removed first if
nothing is lost with it. The search for such tasks only reads; the removal checks again, in its own transaction, because
a message may have opened their next turn meanwhile.
"""

import sqlite3
import time
from collections.abc import Sequence

from storage.records.retention import Ended, RemovedChunk
from storage.sqlite.operations.deletion import remove
from storage.sqlite.relations import task_folders
from storage.sqlite.relations.subtasks import still_shared

CHUNK_SECONDS = 0.005
"""Seconds during which one transaction begins further steps.

With the last step and the commit it takes twice that as a rule, and some 25 ms where the commit checkpoints the WAL,
measured: that is how long others wait.
"""

STEP = 500
"""Rows removed in one step: about 2 ms."""

LOOK = 500
"""Tasks examined in one read: about 5 ms."""


def expired(db: sqlite3.Connection, ended_by: int, after: Ended) -> tuple[list[int], Ended | None]:
    """Return removable tasks among the next that ended by `ended_by`, and where to continue; None at the end."""
    found = [
        Ended(row["completed_at"], row["seq"])
        for row in db.execute(
            """SELECT seq, completed_at FROM tasks INDEXED BY tasks_ended
               WHERE completed_at IS NOT NULL AND completed_at <= ? AND (completed_at, seq) > (?, ?)
               ORDER BY completed_at, seq LIMIT ?""",
            (ended_by, after.at, after.seq, LOOK),
        ).fetchall()
    ]
    free = [ended.seq for ended in found if _is_free(db, ended.seq, ended_by)]
    return free, found[-1] if len(found) == LOOK else None


def remove_expired(db: sqlite3.Connection, seqs: Sequence[int], ended_by: int) -> RemovedChunk:
    """Remove as many of these tasks as one transaction should, including those that were kept only for them."""
    stop = time.monotonic() + CHUNK_SECONDS
    waiting = list(reversed(seqs))
    removed = []
    while waiting:
        task = db.execute("SELECT * FROM tasks WHERE seq = ?", (waiting[-1],)).fetchone()
        if task is None or not _is_free(db, task["seq"], ended_by):
            waiting.pop()
        elif _is_bare(db, task["seq"]):
            waiting.pop()
            waiting += _kept_for(db, task)
            remove(db, task)
            removed.append(task["id"])
        if time.monotonic() >= stop:
            break
    return RemovedChunk(removed, waiting[::-1])


def with_log(db: sqlite3.Connection, ended_by: int) -> list[int]:
    """Return the next tasks that ended by `ended_by` and still have their log."""
    found = db.execute(
        """SELECT seq FROM tasks INDEXED BY tasks_with_log
           WHERE completed_at > coalesce(log_removed_at, 0) AND completed_at <= ? ORDER BY completed_at LIMIT ?""",
        (ended_by, LOOK),
    )
    return [row["seq"] for row in found]


def remove_logs(db: sqlite3.Connection, seqs: Sequence[int], ended_by: int, at: int) -> list[int]:
    """Remove as much of the logs of these tasks as one transaction should; returns the tasks that are left."""
    stop = time.monotonic() + CHUNK_SECONDS
    waiting = list(reversed(seqs))
    while waiting:
        if not _ended_by(db, waiting[-1], ended_by):
            waiting.pop()
        elif _without_log(db, waiting[-1]):
            db.execute("UPDATE tasks SET log_removed_at = ? WHERE seq = ?", (at, waiting.pop()))
        if time.monotonic() >= stop:
            break
    return waiting[::-1]


def with_workspace(db: sqlite3.Connection, ended_by: int) -> list[str]:
    """Return the ids of the next tasks that ended by `ended_by` and still have their folder."""
    found = db.execute(
        f"""SELECT id FROM tasks INDEXED BY tasks_with_workspace
           WHERE completed_at > coalesce(workspace_removed_at, 0) AND agent <> 'none' AND completed_at <= ?
               AND NOT EXISTS (SELECT 1 FROM workspaces WHERE task = seq AND checkout IS NOT NULL)
               AND NOT {still_shared("tasks")}
           ORDER BY completed_at LIMIT ?""",
        (ended_by, LOOK),
    )
    return [row["id"] for row in found]


def give_up_workspace(db: sqlite3.Connection, task_id: str, ended_by: int, at: int) -> bool:
    """Record that a task's folder is gone, before it is deleted; False if the task reopened or shares it."""
    given_up = db.execute(
        f"""UPDATE tasks SET workspace_removed_at = ?
            WHERE id = ? AND completed_at <= ? AND NOT {still_shared("tasks")}""",
        (at, task_id, ended_by),
    )
    if given_up.rowcount:
        task_folders.give_up(db, task_id)
    return given_up.rowcount > 0


def _is_free(db: sqlite3.Connection, seq: int, ended_by: int) -> bool:
    (kept,) = db.execute(
        """SELECT EXISTS (SELECT 1 FROM tasks INDEXED BY tasks_by_parent WHERE parent = ?1)
               OR EXISTS (SELECT 1 FROM dependencies INDEXED BY dependants WHERE needs = ?1 AND satisfied = 0)
               OR EXISTS (SELECT 1 FROM workspaces WHERE task = ?1 AND checkout IS NOT NULL)""",
        (seq,),
    ).fetchone()
    return not kept and _is_over(db, seq, ended_by)


def _is_over(db: sqlite3.Connection, seq: int | None, ended_by: int) -> bool:
    """Return whether a task and all its ancestors had ended by then."""
    while seq is not None:  # one join for all levels would be planned as a scan of all tasks, for a filter
        seq, at = db.execute("SELECT parent, completed_at FROM tasks WHERE seq = ?", (seq,)).fetchone()
        if at is None or at > ended_by:
            return False
    return True


def _kept_for(db: sqlite3.Connection, task: sqlite3.Row) -> list[int]:
    """Return the tasks that were kept for this one, and may be removable once it is gone."""
    needed = db.execute("SELECT needs FROM dependencies WHERE task = ? AND satisfied = 0", (task["seq"],))
    return [*(row["needs"] for row in needed), *([task["parent"]] if task["parent"] is not None else [])]


def _ended_by(db: sqlite3.Connection, seq: int, ended_by: int) -> bool:
    found = db.execute("SELECT 1 FROM tasks WHERE seq = ? AND completed_at <= ?", (seq, ended_by)).fetchone()
    return found is not None


def _is_bare(db: sqlite3.Connection, seq: int) -> bool:
    """Remove one step of a task's log and satisfied dependencies; returns whether all of these are gone."""
    if not _without_log(db, seq):
        return False
    satisfied = "SELECT task FROM dependencies INDEXED BY dependants WHERE needs = ? AND satisfied = 1 LIMIT ?"
    gone = db.execute(f"DELETE FROM dependencies WHERE needs = ? AND task IN ({satisfied})", (seq, seq, STEP)).rowcount
    return gone < STEP


def _without_log(db: sqlite3.Connection, seq: int) -> bool:
    """Remove the log's oldest lines, one step of them; returns whether it is empty."""
    gone = db.execute(
        "DELETE FROM events WHERE task = ?1 AND number < (SELECT min(number) FROM events WHERE task = ?1) + ?2",
        (seq, STEP),
    ).rowcount
    return gone < STEP
