"""Errors that any operation of a store may raise."""

from server.errors import Code, RemitError
from server.limits import SHORT_ID

MOST_NAMED = 20
"""Tasks that an error names at most."""


class DatabaseError(RemitError):
    """The database could not be read or written; nothing was changed.

    `reason` is the database's message. `passes` says whether a retry may succeed: the database is locked, or the disk
    is full or failing.
    """

    def __init__(self, reason: str, *, passes: bool) -> None:
        super().__init__(Code.EXECUTION_ERROR, f"the database failed: {reason}; nothing was changed")
        self.reason = reason
        self.passes = passes


def turn_is_open(status: str) -> RemitError:
    """Return the CONFLICT error for a message to a task that has neither ended nor waits for what it brings."""
    return RemitError(
        Code.CONFLICT,
        f"the task is {status}; a message can be sent once it has completed, failed or been cancelled",
        status=status,
    )


def not_found(task_id: str, field: str | None = None) -> RemitError:
    """Return the NOT_FOUND error for a task id; `field` is the request's field that named it, if it was not `id`."""
    sentence = (
        f"there is no task {task_id!r}; list_tasks has the ids of yours, of which {SHORT_ID} characters are enough"
    )
    if field is None:
        return RemitError(Code.NOT_FOUND, sentence, id=task_id)
    return RemitError(Code.NOT_FOUND, f"{field}: {sentence}", field=field, id=task_id)
