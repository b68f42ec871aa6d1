"""Database copies: made while others write to the database, and checked before anyone relies on them.

A copy is one file in SQLite's rollback mode, so that it can be read from a read-only disk. Every function blocks.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from server.errors import Code, RemitError
from storage.records.database_files import Contents
from storage.records.recovery import Leftover
from storage.sqlite.database import BUSY_TIMEOUT
from storage.sqlite.inspection import was_left_open
from storage.sqlite.migrations import MIGRATIONS
from storage.sqlite.operations import runs

FILE_START = b"SQLite format 3\0"
"""What each database file begins with (sqlite.org/fileformat.html)."""


def copy_database(source: Path, target: Path) -> None:
    """Write what is committed in `source` at this instant to `target`, an empty or missing file.

    All pages are copied in one step, whatever is written meanwhile. VACUUM INTO is not used, because some versions of
    SQLite (3.40 was seen) refuse it for tables with generated columns. The copy is not synced. Raises RemitError
    (EXECUTION_ERROR).
    Reading needs files beside `source`. If there were none, as without a server, the last connection removes them when
    it closes, for which it must be allowed to write. On a disk that has become read-only there can be none, and need
    not be: nobody writes. A WAL that a dead server has left is only read: the next start examines it.
    """
    is_fixed = not os.access(source.parent, os.W_OK)
    mode = "mode=ro" if was_left_open(source) else "immutable=1" if is_fixed else "mode=rw"
    try:
        with _opened(source, mode) as db, closing(sqlite3.connect(target, isolation_level=None)) as copy:
            db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.Error as error:
        raise RemitError(Code.EXECUTION_ERROR, f"the database {source} cannot be copied: {error}") from None


def examine(path: Path, *, of: Path | None = None) -> Contents:
    """Check every page of a copy that nobody writes to, and return its contents; `of` is the file that errors name.

    Raises RemitError: VALIDATION_ERROR for a file that is damaged or no database of remit; CONFLICT for one that a
    newer remit has written.
    """
    named = of or path
    with _opened(path, "mode=ro&immutable=1") as db:
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            damage = [row[0] for row in db.execute("PRAGMA quick_check(3)") if row[0] != "ok"]
            if version > len(MIGRATIONS):
                raise _newer(named, version)
            if damage or version <= 0:
                raise _unusable(named, "; ".join(damage) or "it is no database of remit")
            return Contents(*db.execute("SELECT count(*), max(last_activity_at) FROM tasks").fetchone())
        except sqlite3.Error as error:
            raise _unusable(named, str(error)) from None


def task_ids(path: Path) -> set[str]:
    """Return the ids of all tasks of a copy. Raises RemitError (VALIDATION_ERROR)."""
    with _opened(path, "mode=ro&immutable=1") as db:
        try:
            return {row[0] for row in db.execute("SELECT id FROM tasks")}
        except sqlite3.Error as error:
            raise _unusable(path, str(error)) from None


def leftovers(path: Path) -> list[Leftover]:
    """Return the runs that the database's last server left open; none if it cannot be read."""
    with suppress(sqlite3.Error, RemitError), _opened(path, "mode=ro") as db:
        return runs.leftovers(db)
    return []


def fold_changes(path: Path) -> None:
    """Checkpoint the WAL of a database into its file, as far as it can be read."""
    with suppress(sqlite3.Error, RemitError), _opened(path, "mode=rw") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


@contextmanager
def _opened(path: Path, options: str) -> Iterator[sqlite3.Connection]:
    try:
        db = sqlite3.connect(f"file:{quote(str(path))}?{options}", uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise _unusable(path, str(error)) from None
    with closing(db):
        db.row_factory = sqlite3.Row
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
        yield db


def _newer(path: Path, version: int) -> RemitError:
    known = len(MIGRATIONS)
    return RemitError(
        Code.CONFLICT, f"{path} was written by a newer remit (schema {version}, this one knows {known}); upgrade remit"
    )


def _unusable(path: Path, why: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, f"{path} cannot be used: {why}")
