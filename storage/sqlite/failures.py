"""SQLite's errors, sorted by their result codes (sqlite.org/rescode.html)."""

import sqlite3

from storage.errors import DatabaseError

_NO_ROOM = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"})
"""Result codes of a full disk: for the file itself, and for the WAL index, which is a file mapped into memory."""

_DAMAGE = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
"""Primary result codes of a file that is damaged, or no database."""

_LASTING = _DAMAGE | {"SQLITE_MISUSE", "SQLITE_ERROR", "SQLITE_CONSTRAINT"}
"""Primary result codes after which the same operation would fail again."""


def database_error(error: sqlite3.Error) -> DatabaseError:
    """Return the DatabaseError for an error of SQLite."""
    reason = f"it is damaged ({error}), see `remit doctor`" if is_damage(error) else str(error)
    return DatabaseError(reason, passes=_primary(error) not in _LASTING)


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether the file is damaged, or is not a database."""
    return _primary(error) in _DAMAGE


def is_full(error: sqlite3.Error) -> bool:
    """Return whether an operation failed because the disk is full."""
    return _name(error) in _NO_ROOM


def is_locked(error: sqlite3.Error) -> bool:
    """Return whether an operation failed because another connection holds the lock; it has written nothing."""
    return _primary(error) in ("SQLITE_BUSY", "SQLITE_LOCKED")


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", None) or "SQLITE_ERROR"  # errors of the module itself have none


def _primary(error: sqlite3.Error) -> str:
    return "_".join(_name(error).split("_")[:2])
