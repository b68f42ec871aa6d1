"""No statement looks at every task, whatever SQLite believes of the sizes of the tables.

It has no statistics of them, unless somebody had it make some (`ANALYZE`) from outside.
"""

import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from storage.interface import Store
from storage.records.outcomes import TurnEnd, Wait
from storage.records.queue import SlotDemand
from storage.records.states import Status
from storage.records.workspaces import Workspace
from storage.sqlite.store import SqliteStore, open_store
from storage.times import now
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, DONE, HOUR, REPOSITORY, claimed, decision, new_call, new_task, new_turn, waiting

COMPLETED = TurnEnd(Status.COMPLETED)
FOLDER = Workspace(mode="readwrite", path="/a", shared=False, reaches=("/a",))
LENT = Workspace(mode="readonly", path="/a", shared=False, reaches=("/a",))
TREE = Workspace(mode="worktree", path="/r", shared=False, reaches=("/r",), repository=REPOSITORY)

SCANS = r"^SCAN (t|tasks|made|owner)\b(?!.* USING .*INDEX tasks_(queue|made_open|with_\w+|ended))"
"""The steps that go through all the tasks."""


async def live(store: Store) -> None:
    """Do a bit of everything."""
    parent = await claimed(store, workspace=FOLDER, secrets={"A": "literal"})
    child = new_task(parent=parent.task.id, source="agent", workspace=LENT)
    await store.create_task(ANN, child)
    later = new_task(depends_on=[child.id])
    await store.create_task(ANN, later)
    await store.create_task(ANN, new_task(workspace=FOLDER))
    await store.claim_run("owner", SlotDemand(full=[parent.task.id], waiting=[parent.run.seq]))
    await store.snapshot(ANN, later.id, since=0)
    await store.progress(ANN, later.id)
    await store.record_processes(parent.run, [], "namespaces")
    await store.having_active_subtasks([parent.run.seq])
    await store.end_run(parent.run, Wait({child.id: now() + HOUR}), 1)
    await store.next_wake()
    await store.wake()
    await store.stopping_beneath(parent.run)
    await store.secrets_of_all_turns(child.id)
    await store.shared_from(child.id)
    await store.leftovers()
    await _end_all(store)
    await store.open_turn(ANN, parent.task.id, new_turn(secrets={"A": "literal"}))
    await store.resume_with_secrets(ANN, parent.task.id, ["A"])
    await _end_all(store)
    asked = await waiting(store, workspace=TREE)
    (call,) = (await store.snapshot(ANN, asked.task.id)).calls
    await store.decide_call(ANN, asked.task.id, call.id, decision("proceed_always"), secrets_at_hand=True)
    await store.grants(ANN)
    await store.worktrees()
    await store.record_worktree(asked.task.id, "open", {"carried": "x"})
    await store.next_expiry()
    await store.expire_calls()
    await store.propagate()
    await store.recover()
    await store.open_counts()
    await store.maintenance.known_folders([child.id])
    await store.snapshot(ANN, parent.task.id, messages=True, events_after=0, max_events=10)
    await store.cancel(ANN, asked.task.id)
    await store.removable(ANN, parent.task.id, cascade=True)
    await store.delete(ANN, parent.task.id, cascade=True)
    await store.maintenance.with_workspace(now())
    await store.maintenance.with_log(now())


async def _end_all(store: Store) -> None:
    while claim := await store.claim_run("owner"):
        (call,) = await store.announce_calls(claim.run, [new_call()])
        await store.begin_call(claim.run, call.id, None)
        await store.end_call(claim.run, call.id, DONE)
        await store.end_run(claim.run, COMPLETED)


def believe(db: sqlite3.Connection, tables: Sequence[str], rows: int) -> None:
    """Give SQLite statistics of these tables alone, with so many rows."""
    db.execute("ANALYZE")
    db.execute("DELETE FROM sqlite_stat1")
    for table in tables:
        for name, columns in db.execute(
            """SELECT i.name, (SELECT count(*) FROM pragma_index_info(i.name)) FROM pragma_index_list(?) i""", (table,)
        ).fetchall():
            numbers = " ".join(["1"] * columns)
            db.execute("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", (table, name, f"{rows} {numbers}"))
    db.execute("ANALYZE sqlite_schema")


def steps(db: sqlite3.Connection, statements: Sequence[str], pattern: str) -> set[tuple[str, str]]:
    """Return the steps of the plans of these statements that match a pattern, each with its statement."""
    return {
        (row["detail"], statement)
        for statement in statements
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH"))
        for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")
        if re.search(pattern, row["detail"])
    }


async def test_no_statement_looks_at_every_task(tmp_path: Path) -> None:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        seen = await _statements(store)
        found = await store._db.write(steps, seen, f"{SCANS}|^BLOOM FILTER")
    assert found == set()


@pytest.mark.parametrize("tables", [(), ("tasks",), ("tasks", "turns", "events")])
@pytest.mark.parametrize("rows", [100, 1_000_000])
async def test_no_statement_scans_the_tasks_where_somebody_had_statistics_made(
    tmp_path: Path, tables: tuple[str, ...], rows: int
) -> None:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        seen = await _statements(store)
        await store._db.write(believe, tables, rows)
        found = await store._db.write(steps, seen, SCANS)
    assert found == set()


async def _statements(store: SqliteStore) -> list[str]:
    """Return every statement that a store executes."""
    statements: list[str] = []
    for run in (store._db._reader, store._db._writer):
        await run.set_trace_callback(statements.append)
    await live(store)
    seen = sorted(set(statements))
    assert len(seen) > 100
    return seen
