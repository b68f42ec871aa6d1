"""Transactions, migrations and the plans of queries."""

import re
import sqlite3
from pathlib import Path

import anyio
import pytest

from server.errors import Code, RemitError
from storage.errors import DatabaseError
from storage.sqlite.database import Database
from storage.sqlite.migrations import MIGRATIONS
from storage.sqlite.store import SqliteStore, open_store
from tests.storage.samples import ANN, claimed, new_call, new_task


async def test_a_cancelled_caller_leaves_no_transaction_open(tmp_path: Path) -> None:
    started = anyio.Event()

    async def insert() -> None:
        started.set()
        await database.write(_insert_principal)

    database = await Database.open(tmp_path / "remit.db")
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(insert)
            await started.wait()
            group.cancel_scope.cancel()
        in_transaction = await database.write(lambda db: db.total_changes and db.in_transaction)
        assert in_transaction  # its own, which could not have begun inside another
    finally:
        await database.aclose()


async def test_a_failed_operation_is_rolled_back_whole(tmp_path: Path) -> None:
    def insert_then_fail(db: sqlite3.Connection) -> None:
        _insert_principal(db)
        raise RuntimeError

    database = await Database.open(tmp_path / "remit.db")
    try:
        with pytest.raises(RuntimeError):
            await database.write(insert_then_fail)
        count = await database.read(lambda db: db.execute("SELECT count(*) FROM principals").fetchone()[0])
        assert count == 0
    finally:
        await database.aclose()


async def test_a_full_disk_is_an_error_that_says_so_and_not_the_end(tmp_path: Path) -> None:
    async with open_store(tmp_path / "remit.db") as store:
        pages = await store._db.write(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
        await store._db._writer.execute_fetchall(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(RemitError, match="full") as caught:
            await store.create_task(ANN, new_task(message="x" * 100_000))
        assert caught.value.code is Code.EXECUTION_ERROR
        await store._db._writer.execute_fetchall(f"PRAGMA max_page_count = {pages + 1000}")
        assert not (await store.create_task(ANN, new_task())).repeated


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "remit.db")
    try:
        with pytest.raises(RemitError, match="readonly"):
            await database.read(lambda db: db.execute("DELETE FROM tasks"))
    finally:
        await database.aclose()


async def test_a_database_of_a_newer_remit_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "remit.db"
    async with open_store(path):
        pass
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(RemitError) as caught:
        async with open_store(path):
            pass
    assert caught.value.code is Code.CONFLICT
    assert path.read_bytes() == before


async def test_what_is_told_to_a_caller_is_synced_to_disk_first(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "remit.db")
    try:
        full = await database.write(lambda db: db.execute("PRAGMA synchronous").fetchone()[0])
        normal = await database.write_soon(lambda db: db.execute("PRAGMA synchronous").fetchone()[0])
        after = await database.write(lambda db: db.execute("PRAGMA synchronous").fetchone()[0])
    finally:
        await database.aclose()
    assert (full, normal, after) == (2, 1, 2)  # FULL, NORMAL, FULL


async def test_no_list_or_queue_query_scans_or_sorts(store: SqliteStore) -> None:
    """Every statement of these operations, as SQLite planned it."""
    claim = await claimed(store, auto_execute=False)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    await store.begin_call(claim.run, call.id, 1)
    await store.create_task(ANN, new_task())
    statements: list[str] = []
    for run in (store._db._reader, store._db._writer):
        await run.set_trace_callback(statements.append)
    await store.next_expiry()
    await store.expire_calls()
    await store.snapshot(ANN, claim.task.id, messages=True, events_after=0, max_events=10)
    assert await store.claim_run("owner")
    plans = [
        (statement, row["detail"])
        for statement in statements
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE"))
        for row in await store._db.read(plan, statement)
    ]
    assert len(plans) > 20
    assert not [plan for plan in plans if re.search("TEMP B-TREE|^SCAN (?!.*USING (COVERING )?INDEX)", plan[1])]


def _insert_principal(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO principals VALUES ('x', 'x', 1)")


def plan(db: sqlite3.Connection, statement: str) -> list[sqlite3.Row]:
    return db.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()


async def test_a_lock_of_another_program_is_waited_for_once_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sqlite.database.BUSY_TIMEOUT", 0)
    begun: list[str] = []
    database = await Database.open(tmp_path / "remit.db")
    try:
        await database.write(lambda db: db.set_trace_callback(begun.append))
        other = sqlite3.connect(tmp_path / "remit.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        begun.clear()
        with pytest.raises(DatabaseError):
            await database.write(_insert_principal)
        other.close()
    finally:
        await database.aclose()
    assert begun.count("BEGIN IMMEDIATE") == 1
