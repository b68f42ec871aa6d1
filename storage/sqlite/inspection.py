"""Read-only inspection of a database file: its version, its identity, and whether it is damaged."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from server.errors import Code, RemitError
from storage import errors
from storage.sqlite.migrations import MIGRATIONS

INCREMENTAL = 2
"""`PRAGMA auto_vacuum` of a file that can return free space to the disk."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """Facts about a database file."""

    version: int
    """The number of migrations it has seen."""

    identity: str | None
    """Its random id; None for a database older than these ids."""

    size: int
    free: int
    """Unused bytes in it."""

    gives_back: bool
    """Whether its free space can be returned to the disk without rewriting it."""


def inspect(path: Path) -> Inspection | None:
    """Inspect the file at `path`; None if there is none, or it is empty.

    Raises RemitError (EXECUTION_ERROR) if it cannot be read as a database.
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
        if errors.is_damage(error):
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
    return path.with_name(f"{path.name}-wal").exists()


def _mode(path: Path) -> str:
    """Return how to open it. Without a WAL nobody uses it, and SQLite would otherwise create files beside it."""
    return "mode=ro" if was_left_open(path) else "immutable=1"
