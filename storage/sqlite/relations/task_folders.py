"""The task folders that the database expects on disk, and those to be deleted."""

import sqlite3
from collections.abc import Collection, Iterable

from storage.sqlite.rows import dumps


def identity(db: sqlite3.Connection) -> str:
    """Return the random id of the database, which is also written into its folders."""
    return str(db.execute("SELECT id FROM identity").fetchone()["id"])


def known(db: sqlite3.Connection, names: Iterable[str]) -> set[str]:
    """Return those of these names that are ids of tasks whose folder was not given up, or which have a worktree."""
    statement = """SELECT 1 FROM tasks WHERE id = ?
        AND (completed_at IS NULL OR completed_at > coalesce(workspace_removed_at, 0)
            OR EXISTS (SELECT 1 FROM workspaces WHERE task = seq AND checkout IS NOT NULL))"""
    return {name for name in names if name.isascii() and db.execute(statement, (name,)).fetchone()}


def expected(db: sqlite3.Connection, ids: Collection[str] | None = None) -> set[str]:
    """Return those of these tasks, or of all, that should have a folder of their own.

    These have run in such a folder, or received files, since their former folder was given up, if it was.
    """
    among = "" if ids is None else "AND id IN (SELECT value FROM json_each(?))"
    statement = f"""SELECT id FROM tasks WHERE agent <> 'none' {among}
        AND (workspace_removed_at IS NULL AND coalesce(files, '{{}}') <> '{{}}'
            OR EXISTS (SELECT 1 FROM runs WHERE task = seq AND ended_at IS NOT NULL
                AND started_at > coalesce(workspace_removed_at, 0))
            AND NOT EXISTS (SELECT 1 FROM workspaces WHERE task = seq AND repository IS NULL))"""
    return {row["id"] for row in db.execute(statement, () if ids is None else (dumps(list(ids)),))}


def give_up(db: sqlite3.Connection, task_id: str) -> None:
    """Record that the folder of a task is to be deleted, in the transaction after which the task lacks it."""
    db.execute("INSERT OR IGNORE INTO removals VALUES (?)", (task_id,))


def given_up(db: sqlite3.Connection) -> set[str]:
    """Return the ids of tasks whose folders were given up, and may still be on disk."""
    return {row["task"] for row in db.execute("SELECT task FROM removals")}


def forget(db: sqlite3.Connection, task_ids: Iterable[str]) -> None:
    """Record that the folders of these tasks are no longer on disk."""
    db.executemany("DELETE FROM removals WHERE task = ?", [(task_id,) for task_id in task_ids])
