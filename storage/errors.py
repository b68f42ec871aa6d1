"""What is told of a database that could not be read or written."""

import sqlite3

from server.errors import Code, RemitError

_NO_ROOM = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"})
"""A full disk: for what is written, and for the index of the log of changes, which grows in memory and on disk."""

_DAMAGE = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
"""Primary result codes of a file that is damaged, or no database."""

_LASTING = _DAMAGE | {"SQLITE_MISUSE", "SQLITE_ERROR", "SQLITE_CONSTRAINT"}
"""Primary result codes (sqlite.org/rescode.html) after which the same operation would fail again."""


class DatabaseError(RemitError):
    """The database could not be read or written; nothing was changed.

    `reason` is what SQLite says of it. `passes` says whether the same may work later: it is locked, the disk is full
    or fails.
    """

    def __init__(self, reason: str, *, passes: bool) -> None:
        super().__init__(Code.EXECUTION_ERROR, f"the database failed: {reason}; nothing was changed")
        self.reason = reason
        self.passes = passes

    @classmethod
    def of(cls, error: sqlite3.Error) -> "DatabaseError":
        """What SQLite says of it."""
        reason = f"it is damaged ({error}), see `remit doctor`" if is_damage(error) else str(error)
        return cls(reason, passes=_primary(error) not in _LASTING)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged, or no database."""
    return _primary(error) in _DAMAGE


def is_full(error: sqlite3.Error) -> bool:
    """Whether an operation has failed for want of room on the disk."""
    return _name(error) in _NO_ROOM


def is_locked(error: sqlite3.Error) -> bool:
    """Whether an operation has failed since somebody else holds the lock: it has written nothing."""
    return _primary(error) in ("SQLITE_BUSY", "SQLITE_LOCKED")


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", None) or "SQLITE_ERROR"  # errors of the module itself have none


def _primary(error: sqlite3.Error) -> str:
    return "_".join(_name(error).split("_")[:2])


def not_found(task_id: str, field: str | None = None) -> RemitError:
    """The error for a task that is not there, with the field that named it, if it was not `id`."""
    sentence = f"there is no task {task_id!r}; list_tasks has the ids of yours, of which 8 characters are enough"
    if field is None:
        return RemitError(Code.NOT_FOUND, sentence, id=task_id)
    return RemitError(Code.NOT_FOUND, f"{field}: {sentence}", field=field, id=task_id)
