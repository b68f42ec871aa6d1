"""A file of an earlier schema is brought up to date with all that is in it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from storage.records.lists import Filter
from storage.records.states import CallStatus, Status
from storage.records.tasks import NestingLimits
from storage.sqlite.migrations import MIGRATIONS
from storage.sqlite.migrations import m13_circumstances as circumstances_step
from storage.sqlite.store import open_store
from tests.storage import schema, written
from tests.storage.samples import ANN, circumstances, new_call, new_task, new_turn

BOUND = MIGRATIONS.index(circumstances_step.SCRIPT)
"""The steps before calls were bound to what is executed."""

TASK = """
INSERT INTO principals VALUES ('ann', 'Ann', 1);
INSERT INTO conversations VALUES ('c', 'ann', 1);
INSERT INTO sessions VALUES ('s', 'c', 1, 2);
INSERT INTO tasks (id, principal, conversation, session, agent, status, title, message, show_in_history, auto_execute,
    timeout_seconds, message_count, request_digest, queued_at, created_at, updated_at, last_activity_at)
    VALUES ('old', 'ann', 'c', 's', 'shell', 'completed', 'of old', 'echo earlier', 1, 1, 60, 2, 'd', 1, 1, 1, 1);
INSERT INTO turns (task, number, message, first_event, content, status, created_at, ended_at)
    VALUES (1, 1, 'echo earlier', 1, 'earlier', 'completed', 1, 1);
"""


async def test_tasks_of_the_first_schema_are_counted_found_and_shown(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "remit.db", isolation_level=None)) as db:
        db.executescript(f"BEGIN;{MIGRATIONS[0]};{TASK};PRAGMA user_version = 1;COMMIT")
    async with open_store(tmp_path / "remit.db") as store:
        done = Filter(statuses=frozenset({Status.COMPLETED}), agent="shell")
        assert (await store.find(ANN, done, 10)).total == 1
        (row,) = (await store.find(ANN, Filter(words=("earlier",)), 10)).tasks
        assert (row.id, row.result, row.message_count) == ("old", "earlier", 2)
        await store.create_task(ANN, new_task(depends_on=["old"]))
        assert (await store.find(ANN, Filter(), 10)).total == 2
        assert await store.claim_run("owner")


async def test_what_was_counted_beneath_a_task_that_is_gone_is_counted_anew(tmp_path: Path) -> None:
    stale = "INSERT INTO tallies VALUES ('parent', '1', '', 'ann', 3), ('parent', '7', '', 'ann', 2)"
    with closing(sqlite3.connect(tmp_path / "remit.db", isolation_level=None)) as db:
        db.executescript(f"BEGIN;{MIGRATIONS[0]};{TASK};{MIGRATIONS[1]};{stale};PRAGMA user_version = 2;COMMIT")
    async with open_store(tmp_path / "remit.db") as store:
        assert (await store.find(ANN, Filter(parent="old"), 10)).total == 0
        await store.create_task(ANN, new_task(parent="old", nesting=NestingLimits(depth=1, count=1)))
        assert (await store.find(ANN, Filter(parent="old"), 10)).total == 1


async def test_grants_of_before_calls_were_bound_to_what_is_executed_end(tmp_path: Path) -> None:
    grant = "INSERT INTO grants VALUES ('g', 's', 'shell', 'Run: true', '[\"exact:1\"]', 'Ann', 1, NULL)"
    in_force = "UPDATE sessions SET expires_at = 9000000000000000; UPDATE tasks SET auto_execute = 0"
    with closing(sqlite3.connect(tmp_path / "remit.db", isolation_level=None)) as db:
        steps = ";".join([*MIGRATIONS[1:BOUND], grant, in_force])
        db.executescript(f"BEGIN;{MIGRATIONS[0]};{TASK};{steps};PRAGMA user_version = {BOUND};COMMIT")
    async with open_store(tmp_path / "remit.db") as store:
        assert await store.grants(ANN) == []
        await store.open_turn(ANN, "old", new_turn())
        claim = await store.claim_run("owner")
        assert claim
        (call,) = await store.announce_calls(claim.run, [new_call()])
        begun = await store.begin_call(claim.run, call.id, None, circumstances=circumstances("1"))
        assert begun.status is CallStatus.AWAITING_APPROVAL


def test_the_schema_that_is_written_down_is_what_the_migrations_make() -> None:
    assert schema.FILE.read_text() == schema.schema(), "write it anew: make schema"


async def test_what_sqlite_has_learnt_of_the_sizes_of_tables_is_forgotten(tmp_path: Path) -> None:
    written.write(19, tmp_path / "remit.db")
    assert _statistics(tmp_path / "remit.db") == 1
    async with open_store(tmp_path / "remit.db"):
        pass
    assert _statistics(tmp_path / "remit.db") == 0


def _statistics(file: Path) -> int:
    """Return how many tables of statistics the database has."""
    with closing(sqlite3.connect(file)) as db:
        (count,) = db.execute("SELECT count(*) FROM sqlite_schema WHERE name GLOB 'sqlite_stat?'").fetchone()
        return int(count)
