"""One SQLite file: a writer and a reader connection, whole-function transactions, migrations.

A transaction is one synchronous function run in its connection's thread. Awaiting between BEGIN and
COMMIT would leave the transaction open when a request is cancelled, and lock out the next one.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import aiosqlite
import anyio
from anyio import to_thread

from server.round_robin import RoundRobinLock
from storage.changes import Changes
from storage.errors import DatabaseError
from storage.sqlite.connection import RecordingConnection, drain_changes
from storage.sqlite.failures import database_error, is_full, is_locked
from storage.sqlite.inspection import INCREMENTAL, refuse_newer
from storage.sqlite.migrations import MIGRATIONS
from storage.sqlite.reserve import Reserve

P = ParamSpec("P")
R = TypeVar("R")

Durability = Literal["FULL", "NORMAL"]

BUSY_TIMEOUT = 5000
"""Milliseconds to wait for a lock held by another program, such as the sqlite3 shell."""

READER_TIMEOUT = 1000
"""Milliseconds to wait for readers on a full disk: those of the server take a few, those of others may never end."""

SPARE_PAGES = 256
"""Free pages (1 MiB) that vacuuming leaves in the file for coming writes."""

VACUUM_PAGES = 250
"""Pages that one vacuum step returns to the disk: 4 ms of work."""

RESERVE = "reserve"
"""Name of the file beside the database that reserves disk space."""


class Database:
    """A writer and a reader connection to one file. Open it with `Database.open`, close it with `aclose`.

    `changes` is told of every committed transaction, even if its caller was cancelled meanwhile.
    """

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection, reserve: Reserve) -> None:
        self._writer = writer
        self._reader = reader
        self._reserve = reserve
        self._writing = RoundRobinLock()
        self._reading = RoundRobinLock()
        self._loop = asyncio.get_running_loop()
        self.changes = Changes()

    @classmethod
    async def open(cls, path: Path) -> "Database":
        """Open or create the file at `path` and bring its schema up to date.

        Raises RemitError (CONFLICT) when a newer remit has written it; the file is left as it is.
        """
        writer = await aiosqlite.connect(path, isolation_level=None, factory=RecordingConnection)
        try:
            await _run(writer, _prepare, "FULL")
            await _run(writer, migrate)
            reader = await aiosqlite.connect(path, isolation_level=None)
        except BaseException:
            await writer.close()
            raise
        await _run(reader, _prepare_reader)
        reserve = Reserve(path.with_name(RESERVE))
        await to_thread.run_sync(reserve.take)
        return cls(writer, reader, reserve)

    async def write(
        self, operation: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run `operation(connection, …)` as one durable transaction: fsynced before this returns."""
        return await self._written(lambda db: operation(db, *args, **kwargs), "FULL")

    async def write_soon(
        self, operation: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Write like `write`, but a power failure (not a crash of the server) may lose it: for progress only."""
        return await self._written(lambda db: operation(db, *args, **kwargs), "NORMAL")

    async def write_end(
        self, operation: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Write like `write`, for what ends tasks or frees space: on a full disk the reserve is released for it."""
        return await _in_turn(
            self._writing, self._writer, self._transact_at_last, lambda db: operation(db, *args, **kwargs)
        )

    async def read(
        self, operation: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run `operation(connection, …)` on one consistent snapshot."""
        return await _in_turn(self._reading, self._reader, _snapshot, lambda db: operation(db, *args, **kwargs))

    async def vacuum(self) -> bool:
        """Return some of the file's free space to the disk; returns whether there is more."""
        return await _in_turn(self._writing, self._writer, _give_back)

    async def tidy(self) -> None:
        """Checkpoint the WAL into the file and truncate it, unless another connection is reading."""
        await _run(self._writer, _checkpoint)

    async def aclose(self) -> None:
        """Close both connections, the writer last so that it checkpoints the WAL."""
        with anyio.CancelScope(shield=True):
            await self._reader.close()
            await self._writer.close()

    async def _written(self, operation: Callable[[sqlite3.Connection], R], durability: Durability) -> R:
        return await _in_turn(self._writing, self._writer, self._transact_with_room, operation, durability)

    def _transact_with_room(
        self, db: sqlite3.Connection, operation: Callable[[sqlite3.Connection], R], durability: Durability
    ) -> R:
        self._reserve.take()
        if self._reserve.is_in_use:
            raise DatabaseError("the disk is full", passes=True)
        return self._transact(db, operation, durability)

    def _transact_at_last(self, db: sqlite3.Connection, operation: Callable[[sqlite3.Connection], R]) -> R:
        if self._reserve.is_in_use:
            _reuse_log(db, "PASSIVE")  # while the file has room to grow: the next changes might take all that is left
        try:
            return self._transact(db, operation, "FULL")
        except sqlite3.Error as error:
            if not is_full(error):
                raise
            self._reserve.give_up()
            _reuse_log(db, "RESTART")
            return self._transact(db, operation, "FULL")

    def _transact(
        self, db: sqlite3.Connection, operation: Callable[[sqlite3.Connection], R], durability: Durability
    ) -> R:
        drain_changes(db)  # of a transaction that was rolled back
        result = _transact(db, operation, durability)
        self._loop.call_soon_threadsafe(self.changes.publish, drain_changes(db))
        return result


async def _in_turn(
    turns: RoundRobinLock,
    connection: aiosqlite.Connection,
    function: Callable[Concatenate[sqlite3.Connection, P], R],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Run a function in the connection's thread, in turn.

    The turn ends when the function has returned, even if the caller is cancelled: the thread runs it to its end.
    """
    await turns.acquire()
    running = asyncio.ensure_future(_run(connection, function, *args, **kwargs))
    running.add_done_callback(partial(_finished, turns))
    return await asyncio.shield(running)


def _finished(turns: RoundRobinLock, done: asyncio.Future[Any]) -> None:
    """Release the turn. An error is marked as retrieved, since a cancelled caller does not await it."""
    turns.release()
    if not done.cancelled():
        done.exception()


async def _run(
    connection: aiosqlite.Connection,
    function: Callable[Concatenate[sqlite3.Connection, P], R],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    try:
        # aiosqlite has no public way to run a whole function in its thread: its private one is used here alone.
        return await connection._execute(function, connection._conn, *args, **kwargs)  # type: ignore[no-any-return,no-untyped-call]
    except sqlite3.Error as error:
        raise database_error(error) from error


def _prepare(db: sqlite3.Connection, durability: Durability) -> None:
    db.row_factory = sqlite3.Row
    db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
    if not db.execute("PRAGMA user_version").fetchone()[0]:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only a new file takes it
    if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {durability}")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute("PRAGMA cache_size = -16000")
    db.execute("PRAGMA journal_size_limit = 33554432")


def _prepare_reader(db: sqlite3.Connection) -> None:
    _prepare(db, "FULL")
    db.execute("PRAGMA query_only = ON")


def _transact(db: sqlite3.Connection, operation: Callable[[sqlite3.Connection], R], durability: Durability) -> R:
    if durability != "FULL":
        db.execute(f"PRAGMA synchronous = {durability}")
    try:
        return _all_or_nothing(db, operation)
    except sqlite3.OperationalError as error:
        if not is_locked(error):  # which would be waited for once more
            with suppress(sqlite3.Error):
                _write_over(db)
        raise
    finally:
        if durability != "FULL":
            db.execute("PRAGMA synchronous = FULL")


def _all_or_nothing(db: sqlite3.Connection, operation: Callable[[sqlite3.Connection], R]) -> R:
    db.execute("BEGIN IMMEDIATE")
    try:
        result = operation(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has rolled back already
            db.execute("ROLLBACK")
        raise
    return result


def _write_over(db: sqlite3.Connection) -> None:
    """Write over what a commit that failed may have left in the WAL: recovery would take it for committed.

    It was told that nothing was changed. It is written without a sync, since that is what has failed, so it holds where
    the server is killed; a power failure may bring the commit back.
    """
    db.execute("PRAGMA synchronous = OFF")
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        _all_or_nothing(db, lambda same: same.execute(f"PRAGMA user_version = {version}"))
    finally:
        db.execute("PRAGMA synchronous = FULL")


def _snapshot(db: sqlite3.Connection, operation: Callable[[sqlite3.Connection], R]) -> R:
    db.execute("BEGIN")
    try:
        return operation(db)
    finally:
        db.execute("COMMIT")


def _give_back(db: sqlite3.Connection) -> bool:
    surplus = db.execute("PRAGMA freelist_count").fetchone()[0] - SPARE_PAGES
    if surplus <= 0 or db.execute("PRAGMA auto_vacuum").fetchone()[0] != INCREMENTAL:
        return False
    # Only executescript goes through all the steps of this one: each is a page.
    db.executescript(f"PRAGMA incremental_vacuum({min(surplus, VACUUM_PAGES)})")
    return bool(surplus > VACUUM_PAGES)


def _checkpoint(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA busy_timeout = 0")  # a reader from outside must not hold everybody up: next time, then
    try:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")


def _reuse_log(db: sqlite3.Connection, mode: Literal["PASSIVE", "RESTART"]) -> None:
    """Bring the log of changes (WAL) into the file, so that the next changes are written over it and take no room.

    While somebody reads the log, nothing can be written over: RESTART waits READER_TIMEOUT for that.
    """
    db.execute(f"PRAGMA busy_timeout = {READER_TIMEOUT}")
    try:
        with suppress(sqlite3.Error):  # the file may have to grow
            db.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
    finally:
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")


def migrate(db: sqlite3.Connection) -> None:
    """Apply every migration the file has not seen, each in a transaction of its own."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    refuse_newer(version)
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        # executescript commits what is open, so the transaction stands in the script itself.
        try:
            db.executescript(f"BEGIN IMMEDIATE;{script};PRAGMA user_version = {number};COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
