"""Read-only inspection of a database file: its version, its identity, whether it is damaged, what is in it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from server.errors import Code, RemitError
from storage.records.database_files import Inspection
from storage.sqlite.failures import is_damage
from storage.sqlite.migrations import MIGRATIONS

INCREMENTAL = 2
"""`PRAGMA auto_vacuum` of a file that can return free space to the disk."""


WAL, SHM = "-wal", "-shm"
"""Endings of the names of the files that SQLite keeps beside a database: the latest changes, and their index."""

_COUNTS = {
    "schema": "PRAGMA user_version",
    "pages": "PRAGMA page_count",
    "freePages": "PRAGMA freelist_count",
    "quickCheck": "PRAGMA quick_check(20)",
    "tasksByStatus": "SELECT status, count(*) FROM tasks GROUP BY status",
    "tasksByError": "SELECT error_code, count(*) FROM tasks WHERE error_code IS NOT NULL GROUP BY error_code",
    "runsByOutcome": "SELECT outcome, count(*) FROM runs GROUP BY outcome",
    "callsByStatus": "SELECT status, count(*) FROM calls GROUP BY status",
}


def inspect(path: Path) -> Inspection | None:
    """Inspect the file at `path`; None if there is none, or it is empty.

    Raises RemitError (EXECUTION_ERROR) if it is damaged, or cannot be read as a database.
    """
    if not path.exists() or not path.stat().st_size:
        return None
    with reading(path) as db:
        version, page, pages, free, vacuum = (
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("user_version", "page_size", "page_count", "freelist_count", "auto_vacuum")
        )
        has_identity = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'identity'").fetchone()
        (identity,) = db.execute("SELECT id FROM identity").fetchone() if has_identity else (None,)
    if not version:
        return None
    if version < 0:
        raise damaged(path, f"its version is {version}")
    return Inspection(version, identity, page * pages, page * free, gives_back=vacuum == INCREMENTAL)


def refuse_newer(version: int) -> None:
    """Refuse a database with more migrations than this version knows. Raises RemitError (CONFLICT)."""
    if version > len(MIGRATIONS):
        raise RemitError(
            Code.CONFLICT,
            f"the database was written by a newer remit (schema {version}, this one knows {len(MIGRATIONS)}); "
            "upgrade remit, or point REMIT_HOME to another folder",
        )


def check(path: Path, seconds: float) -> bool:
    """Look for damage for at most `seconds`; returns whether the whole file was checked.

    A file in the page cache takes 0.1 to 0.3 s for 100 MB, measured. Raises RemitError (EXECUTION_ERROR) that says what
    is damaged.
    """
    with reading(path) as db:
        try:
            with _interrupted_after(seconds, db):
                found = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return False
    if found != ["ok"]:
        raise damaged(path, "; ".join(found).replace("\n", " "))
    return True


def counts(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return how much there is in the database, by name: rows of numbers and of fixed words of remit alone.

    Raises RemitError (EXECUTION_ERROR) if it cannot be read.
    """
    with reading(path) as db:
        return {name: db.execute(query).fetchall() for name, query in _COUNTS.items()}


def library_version() -> tuple[int, int, int]:
    """Return the version of SQLite that this Python brings."""
    return sqlite3.sqlite_version_info


def wal_reset_is_fixed(version: tuple[int, int, int]) -> bool:
    """Return whether a version of SQLite has the fix of its "WAL-reset bug" (3.51.3, and two backports)."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


@contextmanager
def _interrupted_after(seconds: float, db: sqlite3.Connection) -> Iterator[None]:
    """Interrupt the block's statements after so many seconds, and repeatedly until it ends: one may begin later."""
    has_ended = Event()

    def interrupt() -> None:
        wait = seconds
        while not has_ended.wait(wait):
            db.interrupt()
            wait = 0.001

    thread = Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database read-only.

    Raises RemitError (EXECUTION_ERROR), also for SQLite errors within the block.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{_mode(path)}", uri=True)) as db:
            yield db
    except sqlite3.Error as error:
        if is_damage(error):
            raise damaged(path, str(error)) from error
        raise RemitError(Code.EXECUTION_ERROR, f"the database {path} cannot be read: {error}") from error


def damaged(path: Path, why: str) -> RemitError:
    """Return the error for a damaged database."""
    return RemitError(
        Code.EXECUTION_ERROR,
        f"the database {path} is damaged ({why}): `remit restore FILE` puts a backup in its place, and keeps it; "
        f"without a backup, `sqlite3 {path} .recover` saves what can be read",
    )


def was_left_open(path: Path) -> bool:
    """Return whether a database has a WAL: a server is using it, or has died; a server that ends removes it."""
    return path.with_name(path.name + WAL).exists()


def _mode(path: Path) -> str:
    """Return how to open it. Without a WAL nobody uses it, and SQLite would otherwise create files beside it."""
    return "mode=ro" if was_left_open(path) else "immutable=1"
