"""What a task that is blocked waits for."""

import sqlite3

from storage.records.states import BUSY, SUBTASKS
from storage.records.tasks import Principal
from storage.sqlite.relations import dependencies, folder_locks, subtasks


def find(
    db: sqlite3.Connection, principal: Principal, seq: int, reason: str | None, most: int, asker: int | None
) -> list[str]:
    """The ids of the first tasks that keep one from going on, which is blocked for that reason.

    Of those, the ones that whoever asks may know of: what is the principal's and, where the agent of a task asks, what
    is beneath that (its number is `asker`).
    """
    limit = most if asker is None else -1
    if reason == BUSY:
        found = folder_locks.blocking(db, principal, seq)
    elif reason == SUBTASKS:
        found = subtasks.awaited(db, seq, limit)
    else:
        found = dependencies.blocking(db, seq, limit)
    return subtasks.known(db, principal, found, asker)[:most]
