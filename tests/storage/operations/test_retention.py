"""Data that is removed when its time is over, and data that stays."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from storage.interface import Store
from storage.records.events import EventKind, RunEvent
from storage.records.lists import Filter
from storage.records.masked import MaskedText
from storage.records.outcomes import Interruption, TurnEnd
from storage.records.retention import Ended, Retention
from storage.records.states import Status
from storage.records.tasks import NestingLimits, Run, Update
from storage.records.unwritten import Unwritten
from storage.records.workspaces import Workspace
from storage.sqlite.database import SPARE_PAGES
from storage.sqlite.operations import retention
from storage.sqlite.store import SqliteStore, open_store
from storage.times import now
from tests.storage.relations.test_propagation import record, report
from tests.storage.samples import ANN, DONE, claimed, decision, new_call, new_task, new_turn, waiting
from tests.storage.test_database import plan

NESTING = NestingLimits(depth=3, count=10)


async def ended(store: Store, **changes: Any) -> str:
    """Return a task of this server that has ended."""
    claim = await claimed(store, **changes)
    await store.append_events(claim.run, [RunEvent(EventKind.CONTENT, {"text": MaskedText("said")})])
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    return claim.task.id


async def removed(store: Store, ended_by: int) -> list[str]:
    """Return everything that one sweep removes, in that order."""
    gone: list[str] = []
    after: Ended | None = Ended()
    while after:
        left, after = await store.maintenance.expired(ended_by, after)
        while left:
            chunk = await store.maintenance.remove_expired(left, ended_by)
            gone += chunk.removed
            left = chunk.left
    return gone


async def ended_at(store: Store, task_id: str) -> int:
    at = (await store.task(ANN, task_id)).completed_at
    assert at
    return at


async def without_logs(store: Store, ended_by: int) -> None:
    while left := await store.maintenance.with_log(ended_by):
        while left:
            left = await store.maintenance.remove_logs(left, ended_by, now())


@pytest.fixture
def one_step_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK_SECONDS", 0)


def test_a_task_expires_so_long_after_its_end() -> None:
    assert Retention(tasks=5, logs=None, workspaces=None).expires_at(10) == 15


def test_an_open_task_and_one_that_is_kept_for_ever_do_not_expire() -> None:
    assert Retention(tasks=5, logs=None, workspaces=None).expires_at(None) is None
    assert Retention(tasks=None, logs=5, workspaces=5).expires_at(10) is None


async def test_an_ended_task_goes_at_its_time_and_not_before(store: Store) -> None:
    task_id = await ended(store)
    end = await ended_at(store, task_id)
    assert await removed(store, end - 1) == []
    assert await removed(store, end) == [task_id]


async def test_nothing_of_a_removed_task_is_left(store: SqliteStore) -> None:
    claim = await waiting(store, secrets={"A": "literal"})
    (call,) = (await store.snapshot(ANN, claim.task.id)).calls
    await store.decide_call(ANN, claim.task.id, call.id, decision("proceed_always"), secrets_at_hand=True)
    await store.cancel(ANN, claim.task.id)
    assert await removed(store, now()) == [claim.task.id]

    def rows(db: sqlite3.Connection) -> set[int]:
        names = "tasks turns runs calls events secret_names conversations sessions grants tallies dependencies".split()
        return {db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}

    assert await store._db.read(rows) == {0}


@pytest.mark.parametrize("status", ["pending", "running", "awaiting_approval", "blocked"])
async def test_what_has_not_ended_stays(store: Store, status: str) -> None:
    match status:
        case "pending":
            await store.create_task(ANN, new_task())
        case "running":
            await claimed(store)
        case "awaiting_approval":
            await waiting(store)
        case "blocked":
            await record(store, await record(store))
    assert (await store.find(ANN, Filter(statuses=frozenset({Status(status)})), 10)).total == 1
    assert await removed(store, now()) == []


async def test_whoever_waits_for_a_removed_task_is_woken_and_its_secrets_are_dropped(store: Store) -> None:
    task_id = await ended(store)
    heard: list[str] = []
    store.changes.on_end(heard.append)
    with store.changes.expected(task_id) as change:
        await removed(store, now())
        assert change.is_set()
    assert heard == [task_id]


async def test_a_task_whose_next_turn_was_opened_meanwhile_stays(store: Store) -> None:
    task_id = await ended(store)
    found, _ = await store.maintenance.expired(now(), Ended())
    await store.open_turn(ANN, task_id, new_turn())
    chunk = await store.maintenance.remove_expired(found, now())
    assert (chunk.removed, chunk.left) == ([], [])
    assert (await store.task(ANN, task_id)).status is Status.PENDING


async def test_a_sub_task_stays_as_long_as_what_is_above_it(store: Store) -> None:
    top = await record(store)
    middle = await record(store, parent=top, nesting=NESTING)
    lowest = await record(store, parent=middle, nesting=NESTING)
    await report(store, lowest, Status.COMPLETED)
    await report(store, middle, Status.COMPLETED)
    assert await removed(store, now()) == []
    before = now()
    await report(store, top, Status.COMPLETED)
    assert await removed(store, before) == []
    assert await removed(store, now()) == [lowest, middle, top]


async def test_a_task_stays_as_long_as_its_sub_tasks(store: Store) -> None:
    top = await record(store)
    beneath = await record(store, parent=top, nesting=NESTING)
    await report(store, top, Status.COMPLETED)
    assert await removed(store, now()) == []
    await report(store, beneath, Status.COMPLETED)
    assert await removed(store, now()) == [beneath, top]


async def test_what_another_would_still_wait_for_stays_as_long_as_that(store: Store) -> None:
    """One that has failed has failed the other; but a message must not find the other free of what it waits for."""
    first = await record(store)
    second = await record(store, first)
    await report(store, first, Status.FAILED)
    before = await ended_at(store, first)
    await store.update(ANN, second, Update(columns={}, depends_on=[]))
    await store.open_turn(ANN, second, new_turn())
    third = await record(store)
    await store.update(ANN, second, Update(columns={}, depends_on=[third]))
    await report(store, third, Status.FAILED)
    assert await removed(store, before) == [first]
    assert await removed(store, await ended_at(store, third) - 1) == []
    assert await removed(store, now()) == [second, third]


async def test_a_chain_of_failures_goes_in_one_sweep_from_its_end(
    store: Store, one_step_at_a_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOOK", 2)
    chain = [await record(store)]
    for _ in range(6):
        chain.append(await record(store, chain[-1]))
    await report(store, chain[0], Status.FAILED)
    assert await removed(store, now()) == chain[::-1]


async def test_a_satisfied_dependency_goes_and_strands_nobody(store: Store) -> None:
    first, other = await record(store), await record(store)
    second = await record(store, first, other)
    await report(store, first, Status.COMPLETED)
    assert await removed(store, now()) == [first]
    assert (await store.task(ANN, second)).status is Status.BLOCKED
    await report(store, other, Status.COMPLETED)
    assert (await store.task(ANN, second)).status is Status.PENDING


async def test_a_dependency_whose_end_is_still_being_told_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.sqlite.relations.propagation.CHUNK", 1)
    first = await record(store)
    dependants = [await record(store, first) for _ in range(3)]
    await report(store, first, Status.COMPLETED)
    assert await removed(store, now()) == []
    while await store.propagate():
        pass
    assert await removed(store, now()) == [first]
    assert {(await store.task(ANN, task_id)).status for task_id in dependants} == {Status.PENDING}


async def test_a_conversation_goes_on_without_the_messages_of_a_removed_task(store: Store) -> None:
    first = await ended(store)
    conversation = (await store.task(ANN, first)).conversation
    second = new_task(conversation=conversation, joins=True)
    await store.create_task(ANN, second)
    await removed(store, now())
    snapshot = await store.snapshot(ANN, second.id, messages=True)
    assert (snapshot.task.message_count, len(snapshot.messages)) == (1, 1)


async def test_a_crash_in_the_middle_of_a_sweep_loses_nothing_else(tmp_path: Path, one_step_at_a_time: None) -> None:
    async with open_store(tmp_path / "remit.db") as store:
        old = [await ended(store) for _ in range(4)]
        time = now()
        kept = [await ended(store), (await claimed(store)).task.id]
        found, _ = await store.maintenance.expired(time, Ended())
        chunk = await store.maintenance.remove_expired(found, time)
        while not chunk.removed:  # its log goes first
            chunk = await store.maintenance.remove_expired(chunk.left, time)
    async with open_store(tmp_path / "remit.db") as store:
        assert await removed(store, time) == old[1:]
        page = await store.find(ANN, Filter(), 10)
        assert ({row.id for row in page.tasks}, page.total) == (set(kept), 2)


async def test_a_log_is_removed_and_the_output_stays(store: Store) -> None:
    task_id = await ended(store)
    last = (await store.task(ANN, task_id)).last_event
    await without_logs(store, now())
    snapshot = await store.snapshot(ANN, task_id, events_after=0, max_events=10)
    assert (snapshot.events, snapshot.content, snapshot.task.last_event) == ([], "said", last)


async def test_the_log_of_the_next_turn_goes_on_where_the_removed_one_ended(store: Store) -> None:
    task_id = await ended(store)
    last = (await store.task(ANN, task_id)).last_event
    await without_logs(store, now())
    await store.open_turn(ANN, task_id, new_turn())
    snapshot = await store.snapshot(ANN, task_id, events_after=0, max_events=10)
    assert [event.number for event in snapshot.events] == [last + 1]


async def test_a_log_of_any_length_is_removed_in_steps(
    store: Store, one_step_at_a_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 3)
    claim = await claimed(store)
    await store.append_events(claim.run, [RunEvent(EventKind.CONTENT, {"text": MaskedText("x")})] * 10)
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    left = await store.maintenance.with_log(now())
    assert await store.maintenance.remove_logs(left, now(), now()) == left
    first, *_ = (await store.snapshot(ANN, claim.task.id, events_after=0, max_events=1)).events
    assert first.number == 4
    await without_logs(store, now())
    assert (await store.snapshot(ANN, claim.task.id, events_after=0, max_events=10)).events == []


async def test_a_removed_log_is_not_looked_for_again_before_the_next_end(store: Store) -> None:
    task_id = await ended(store)
    await without_logs(store, now())
    assert await store.maintenance.with_log(now()) == []
    await store.open_turn(ANN, task_id, new_turn())
    assert await store.maintenance.with_log(now()) == []
    await store.cancel(ANN, task_id)
    assert len(await store.maintenance.with_log(now())) == 1


async def test_a_folder_is_given_up_once_after_each_end(store: Store) -> None:
    task_id = await ended(store)
    assert await store.maintenance.with_workspace(now()) == [task_id]
    assert await store.maintenance.give_up_workspace(task_id, now(), now())
    assert (await store.maintenance.with_workspace(now()), await store.maintenance.known_folders([task_id])) == (
        [],
        set(),
    )
    await store.open_turn(ANN, task_id, new_turn())
    assert await store.maintenance.known_folders([task_id, "unknown"]) == {task_id}
    assert not await store.maintenance.give_up_workspace(task_id, now(), now())
    await store.cancel(ANN, task_id)
    assert await store.maintenance.with_workspace(now()) == [task_id]


async def test_a_folder_is_not_given_up_while_a_task_is_open_that_it_was_lent_to(store: Store) -> None:
    owner = await claimed(store)
    between = await claimed(store, parent=owner.task.id, source="agent")
    path = f"/state/{owner.task.id}/tree"
    lent = Workspace(mode="readonly", path=path, shared=False, owner="task", reaches=(path,))
    borrower = await claimed(store, parent=between.task.id, source="agent", workspace=lent)
    for claim in (owner, between):
        await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    assert await store.maintenance.with_workspace(now()) == [between.task.id]
    assert not await store.maintenance.give_up_workspace(owner.task.id, now(), now())
    await store.end_run(borrower.run, TurnEnd(Status.COMPLETED))
    assert await store.maintenance.give_up_workspace(owner.task.id, now(), now())


async def test_a_record_has_no_folder_to_give_up(store: Store) -> None:
    await report(store, await record(store), Status.COMPLETED)
    assert await store.maintenance.with_workspace(now()) == []


async def test_the_room_of_what_was_removed_is_given_back_to_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "remit.db"
    async with open_store(path) as store:
        for _ in range(20):
            await ended(store, message="x" * 100_000)
        await store.maintenance.tidy()
        full = path.stat().st_size
        await removed(store, now())
        while await store.maintenance.vacuum():
            pass
        await store.maintenance.tidy()
        left = path.stat().st_size
        free = await store._db.read(lambda db: db.execute("PRAGMA freelist_count").fetchone()[0])
    assert (full > 4_000_000, left < full / 2, free) == (True, True, SPARE_PAGES)


async def test_a_reader_from_outside_does_not_hold_up_the_tidying(store: Store, tmp_path: Path) -> None:
    outside = sqlite3.connect(tmp_path / "remit.db", isolation_level=None)
    outside.execute("BEGIN")
    outside.execute("SELECT * FROM tasks").fetchall()
    await ended(store)
    await store.maintenance.tidy()
    assert (tmp_path / "remit.db-wal").stat().st_size > 0
    outside.close()
    await store.maintenance.tidy()
    assert (tmp_path / "remit.db-wal").stat().st_size == 0


async def test_looking_for_what_can_go_follows_indexes(store: SqliteStore, tmp_path: Path) -> None:
    """As SQLite plans it once it knows of many tasks."""
    top = await record(store)
    await record(store, parent=top, nesting=NESTING)
    await report(store, top, Status.COMPLETED)
    task_id = await ended(store)
    statements: list[str] = []
    for connection in (store._db._reader, store._db._writer):
        await connection.set_trace_callback(statements.append)
    await store.maintenance.expired(now(), Ended())
    await store.maintenance.known_folders(await store.maintenance.with_workspace(now()))
    await store.maintenance.give_up_workspace(task_id, now(), now())
    await without_logs(store, now())
    await removed(store, now())
    looked_up = [*statements]
    await ended(store)
    await store._db.write(_know_of_many_tasks)
    with closing(sqlite3.connect(tmp_path / "remit.db")) as db:  # a new connection plans by it
        db.row_factory = sqlite3.Row
        plans = [
            (statement, row["detail"])
            for statement in looked_up
            if statement.lstrip().upper().startswith(("SELECT", "WITH", "UPDATE", "DELETE"))
            for row in plan(db, statement)
        ]
    assert len(plans) > 20
    # What the search looks up for itself, and the open tasks that agents have made, which are few.
    walks = "CONSTANT ROW|main.task_words_config|made USING INDEX tasks_made_open|lent"
    assert not [each for each in plans if re.search(f"TEMP B-TREE|BLOOM|^SCAN (?!{walks})", each[1])]


async def test_output_is_counted_over_all_calls_and_turns(store: Store) -> None:
    claim = await claimed(store)
    await _call(store, claim.run)
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    await store.open_turn(ANN, claim.task.id, new_turn())
    claim = await store.claim_run("owner") or claim
    await _call(store, claim.run)
    assert (await store.task(ANN, claim.task.id)).kept_output == 2 * len(DONE.output)


async def test_the_output_of_a_call_that_is_cut_off_is_counted_once(store: Store) -> None:
    claim = await claimed(store)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    await store.begin_call(claim.run, call.id, None)
    await store.end_run(claim.run, Interruption(), unwritten=Unwritten(outputs={call.id: (MaskedText("half"), 0)}))
    assert (await store.task(ANN, claim.task.id)).kept_output == len("half")


def _know_of_many_tasks(db: sqlite3.Connection) -> None:
    db.execute("ANALYZE")
    db.execute("UPDATE sqlite_stat1 SET stat = '20000 1' WHERE idx LIKE 'sqlite_autoindex_tasks%'")


async def _call(store: Store, run: Run) -> None:
    (call,) = await store.announce_calls(run, [new_call()])
    await store.begin_call(run, call.id, None)
    await store.end_call(run, call.id, DONE)
