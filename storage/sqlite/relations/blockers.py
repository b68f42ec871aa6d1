"""The tasks that a blocked task waits for."""

import sqlite3

from storage.records.states import BUSY, SUBTASKS
from storage.records.tasks import Principal
from storage.sqlite.relations import dependencies, folder_locks, subtasks


def find(
    db: sqlite3.Connection, principal: Principal, seq: int, reason: str | None, most: int, asker: int | None
) -> list[str]:
    """Return the ids of the first tasks that a task blocked for `reason` waits for, as far as the caller may see them.

    These are the principal's own and, if the agent of the task with the number `asker` asks, those beneath its task.
    """
    limit = most if asker is None else -1
    if reason == BUSY:
        found = folder_locks.blocking(db, principal, seq)
    elif reason == SUBTASKS:
        found = subtasks.awaited(db, seq, limit)
    else:
        found = dependencies.blocking(db, seq, limit)
    return subtasks.known(db, principal, found, asker)[:most]
