"""Whether the time of day is believed: what is removed by it cannot be brought back once it is right again.

Machines that were asleep, or that have no clock of their own, may start far ahead; or far behind, and what ends before
they are set right looks old then. So each step ahead counts from the time that was seen last, which need not be the
latest one. Times are microseconds since 1970.
"""

import sqlite3
from pathlib import Path

from storage.records.clock import DOUBT, Clock
from storage.sqlite.inspection import reading


def get(db: sqlite3.Connection) -> Clock:
    """What is known of the time."""
    latest, doubted_us = db.execute("SELECT latest, doubted_us FROM clock").fetchone()
    return Clock(latest, doubted_us)


def observe(db: sqlite3.Connection, at: int, ran_us: int) -> bool:
    """Note that it is `at`, and that the server has run so long since the last time; whether it is believed."""
    clock = get(db)
    doubted_us = clock.doubted_us + ran_us if clock.doubts(at) else 0
    is_believed = not clock.doubts(at) or doubted_us >= DOUBT
    if is_believed:
        believe(db, at)
    else:
        db.execute("UPDATE clock SET doubted_us = ?", (doubted_us,))
    return is_believed


def believe(db: sqlite3.Connection, at: int) -> None:
    """Take `at` for the right time."""
    db.execute("UPDATE clock SET latest = ?, doubted_us = 0", (at,))


def read(path: Path) -> Clock | None:
    """What the database at `path`, in which nothing is changed, knows of the time; None for one of an older version.

    Raises RemitError (EXECUTION_ERROR).
    """
    with reading(path) as db:
        is_there = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'clock'").fetchone()
        return get(db) if is_there else None
