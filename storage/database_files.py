"""The database files of state folders: opening one as a store, and what can be done with one without a store.

All parts of the project take these from here, and nothing from `storage.sqlite`. What is in a file, beside it, and how
it is copied while others write, is known there alone. Every function but `open_store` blocks.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from storage.interface import Store
from storage.sqlite import store
from storage.sqlite.backup import FILE_START, copy_database, examine, fold_changes, leftovers, task_ids
from storage.sqlite.clock import read_clock
from storage.sqlite.inspection import (
    SHM,
    WAL,
    check,
    counts,
    inspect,
    library_version,
    refuse_newer,
    wal_reset_is_fixed,
    was_left_open,
)

__all__ = [
    "FILE_START",
    "SHM",
    "WAL",
    "check",
    "copy_database",
    "counts",
    "examine",
    "fold_changes",
    "inspect",
    "leftovers",
    "library_version",
    "open_store",
    "read_clock",
    "refuse_newer",
    "task_ids",
    "wal_reset_is_fixed",
    "was_left_open",
]

open_store: Callable[[Path], AbstractAsyncContextManager[Store]] = store.open_store
"""Open the store in a file, which is created if missing and migrated, and close it after the block.

Raises RemitError: CONFLICT for a database that a newer remit has written; it is left as it is.
"""
