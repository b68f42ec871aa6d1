"""Errors of a database that cannot be read or written, as RemitErrors."""

import sqlite3

from server.errors import Code, RemitError

_NO_ROOM = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"})
"""Result codes of a full disk: for the file itself, and for the WAL index, which is a file mapped into memory."""

_DAMAGE = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
"""Primary result codes of a file that is damaged, or no database."""

_LASTING = _DAMAGE | {"SQLITE_MISUSE", "SQLITE_ERROR", "SQLITE_CONSTRAINT"}
"""Primary result codes (sqlite.org/rescode.html) after which the same operation would fail again."""


class DatabaseError(RemitError):
    """The database could not be read or written; nothing was changed.

    `reason` is SQLite's message. `passes` says whether a retry may succeed: the database is locked, or the disk is full
    or failing.
    """

    def __init__(self, reason: str, *, passes: bool) -> None:
        super().__init__(Code.EXECUTION_ERROR, f"the database failed: {reason}; nothing was changed")
        self.reason = reason
        self.passes = passes

    @classmethod
    def of(cls, error: sqlite3.Error) -> "DatabaseError":
        """Return the DatabaseError for an error of SQLite."""
        reason = f"it is damaged ({error}), see `remit doctor`" if is_damage(error) else str(error)
        return cls(reason, passes=_primary(error) not in _LASTING)


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


def not_found(task_id: str, field: str | None = None) -> RemitError:
    """Return the NOT_FOUND error for a task id; `field` is the request's field that named it, if it was not `id`."""
    sentence = f"there is no task {task_id!r}; list_tasks has the ids of yours, of which 8 characters are enough"
    if field is None:
        return RemitError(Code.NOT_FOUND, sentence, id=task_id)
    return RemitError(Code.NOT_FOUND, f"{field}: {sentence}", field=field, id=task_id)
