"""A look at a database file that changes nothing in it: what wrote it, which one it is, and whether it is damaged."""

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
"""`PRAGMA auto_vacuum` of a file that can give room back."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a database says of itself."""

    version: int
    """How many steps of the schema it has seen."""

    identity: str | None
    """Its random id; None for one of before there were ids."""

    size: int
    free: int
    """Bytes in it that nothing needs."""

    gives_back: bool
    """Whether what is free in it can be given back to the disk without rewriting it."""


def inspect(path: Path) -> Inspection | None:
    """Look at the file at `path`; None where there is none, or nothing in it.

    Raises RemitError (EXECUTION_ERROR) for one that cannot be read as a database.
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
    """Refuse a database of more steps than are known here. Raises RemitError (CONFLICT)."""
    if version > len(MIGRATIONS):
        raise RemitError(
            Code.CONFLICT,
            f"the database was written by a newer remit (schema {version}, this one knows {len(MIGRATIONS)}); "
            "upgrade remit, or point REMIT_HOME to another folder",
        )


def check(path: Path, seconds: float) -> bool:
    """Look for damage for so many seconds; whether all of it was looked at.

    Where it is in memory already, 100 MB take 0.1 to 0.3 s, measured.

    Raises RemitError (EXECUTION_ERROR): what is damaged.
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
    """Interrupt what the block executes after so many seconds, and again until it ends: a statement may begin later."""
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
    """Open a database for reading alone.

    Raises RemitError (EXECUTION_ERROR) for what fails in the block, too.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{_mode(path)}", uri=True)) as db:
            yield db
    except sqlite3.Error as error:
        if errors.is_damage(error):
            raise damaged(path, str(error)) from error
        raise RemitError(Code.EXECUTION_ERROR, f"the database {path} cannot be read: {error}") from error


def damaged(path: Path, why: str) -> RemitError:
    """The error for a database that is damaged."""
    return RemitError(
        Code.EXECUTION_ERROR,
        f"the database {path} is damaged ({why}): `remit restore FILE` puts a backup in its place, and keeps it; "
        f"without a backup, `sqlite3 {path} .recover` saves what can be read",
    )


def was_left_open(path: Path) -> bool:
    """Whether a database has a WAL: a server is at work on it, or has died; one that ends takes it away."""
    return path.with_name(f"{path.name}-wal").exists()


def _mode(path: Path) -> str:
    """How to open it: nobody is at work on one without a WAL, and SQLite would make files beside it."""
    return "mode=ro" if was_left_open(path) else "immutable=1"
