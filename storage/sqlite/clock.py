"""Plausibility of the time of day: what is removed because of a wrong clock cannot be brought back.

A machine that was asleep, or has no clock of its own, may start with a time far ahead, or far behind, so that what ends
before it is set right looks old afterwards. Therefore each step ahead is measured from the time seen last, which need
not be the latest one. Times are microseconds since 1970.
"""

import sqlite3
from pathlib import Path

from storage.records.clock import DOUBT, Clock
from storage.sqlite.inspection import reading


def get(db: sqlite3.Connection) -> Clock:
    """Return the last trusted time and the time in doubt since."""
    latest, doubted_us = db.execute("SELECT latest, doubted_us FROM clock").fetchone()
    return Clock(latest, doubted_us)


def observe(db: sqlite3.Connection, at: int, ran_us: int) -> bool:
    """Record that it is `at`, after `ran_us` of work since the last call; returns whether `at` is trusted."""
    clock = get(db)
    doubted_us = clock.doubted_us + ran_us if clock.doubts(at) else 0
    is_believed = not clock.doubts(at) or doubted_us >= DOUBT
    if is_believed:
        believe(db, at)
    else:
        db.execute("UPDATE clock SET doubted_us = ?", (doubted_us,))
    return is_believed


def believe(db: sqlite3.Connection, at: int) -> None:
    """Trust `at` from now on."""
    db.execute("UPDATE clock SET latest = ?, doubted_us = 0", (at,))


def read_clock(path: Path) -> Clock | None:
    """Return the clock record of the database at `path`; None for a database of an older version.

    Nothing in the database is changed. Raises RemitError (EXECUTION_ERROR).
    """
    with reading(path) as db:
        is_there = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'clock'").fetchone()
        return get(db) if is_there else None
