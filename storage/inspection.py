"""A look at a database file that changes nothing in it: what has written it, and which database it is."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.errors import Code, RemitError


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a database says of itself."""

    version: int
    """How many steps of the schema it has seen."""

    identity: str | None
    """Its random id; None for one of before there were ids."""


def inspect(path: Path) -> Inspection | None:
    """Look at the file at `path`; None where there is none, or nothing in it.

    Raises RemitError (EXECUTION_ERROR) for one that cannot be read as a database.
    """
    if not path.exists() or not path.stat().st_size:
        return None
    with reading(path) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        has_identity = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'identity'").fetchone()
        (identity,) = db.execute("SELECT id FROM identity").fetchone() if has_identity else (None,)
    return Inspection(version, identity) if version else None


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading alone.

    Raises RemitError (EXECUTION_ERROR) for what fails in the block, too.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{_mode(path)}", uri=True)) as db:
            yield db
    except sqlite3.Error as error:
        raise RemitError(Code.EXECUTION_ERROR, f"the database {path} cannot be read: {error}") from error


def has_wal(path: Path) -> bool:
    """Whether something stands in the WAL of a database: a server is at work on it, or has died."""
    wal = path.with_name(f"{path.name}-wal")
    return wal.exists() and wal.stat().st_size > 0


def _mode(path: Path) -> str:
    """How to open it: nobody is at work on one without a WAL, and SQLite would make files beside it."""
    return "mode=ro" if has_wal(path) else "immutable=1"
