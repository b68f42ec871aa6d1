"""What the database knows of the folders of its tasks: whose they are, and which of them are to go."""

import sqlite3
from collections.abc import Collection, Iterable

from storage.sqlite.rows import dumps


def identity(db: sqlite3.Connection) -> str:
    """The random id of the database, which its folders bear too."""
    return str(db.execute("SELECT id FROM identity").fetchone()["id"])


def known(db: sqlite3.Connection, names: Iterable[str]) -> set[str]:
    """Those of these names that are tasks whose folder was not given up; one with a worktree whatever the times say."""
    statement = """SELECT 1 FROM tasks WHERE id = ?
        AND (completed_at IS NULL OR completed_at > coalesce(workspace_removed_at, 0)
            OR EXISTS (SELECT 1 FROM workspaces WHERE task = seq AND checkout IS NOT NULL))"""
    return {name for name in names if name.isascii() and db.execute(statement, (name,)).fetchone()}


def expected(db: sqlite3.Connection, ids: Collection[str] | None = None) -> set[str]:
    """Those of these tasks, or of all, that have worked in a folder of their own, or were given files, ever since.

    That is since what they had was given up, if it ever was: they should have a folder.
    """
    among = "" if ids is None else "AND id IN (SELECT value FROM json_each(?))"
    statement = f"""SELECT id FROM tasks WHERE agent <> 'none' {among}
        AND (workspace_removed_at IS NULL AND coalesce(files, '{{}}') <> '{{}}'
            OR EXISTS (SELECT 1 FROM runs WHERE task = seq AND ended_at IS NOT NULL
                AND started_at > coalesce(workspace_removed_at, 0))
            AND NOT EXISTS (SELECT 1 FROM workspaces WHERE task = seq AND repository IS NULL))"""
    return {row["id"] for row in db.execute(statement, () if ids is None else (dumps(list(ids)),))}


def give_up(db: sqlite3.Connection, task_id: str) -> None:
    """Note that the folder of a task is to go, in the transaction that has the task do without it."""
    db.execute("INSERT OR IGNORE INTO removals VALUES (?)", (task_id,))


def given_up(db: sqlite3.Connection) -> set[str]:
    """The tasks whose folders were given up, and may still be there."""
    return {row["task"] for row in db.execute("SELECT task FROM removals")}


def forget(db: sqlite3.Connection, task_ids: Iterable[str]) -> None:
    """Note that the folders of these tasks are not there any more."""
    db.executemany("DELETE FROM removals WHERE task = ?", [(task_id,) for task_id in task_ids])
