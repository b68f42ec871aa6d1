"""Creating, finding, listing and deleting tasks."""

from pathlib import Path

import pytest

from server.errors import Code, RemitError
from storage.interface import Store
from storage.records.lists import Filter
from storage.records.masked import MaskedText
from storage.records.outcomes import TurnEnd
from storage.records.states import ENDED, Status
from storage.sqlite.store import SqliteStore, open_store
from tests.storage.samples import ANN, BOB, claimed, new_task, new_turn


async def test_a_created_task_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    new = new_task(env={"A": "1"}, metadata={"k": [1]}, title="a title")
    async with open_store(tmp_path / "remit.db") as store:
        await store.create_task(ANN, new)
    async with open_store(tmp_path / "remit.db") as store:
        task = await store.task(ANN, new.id)
    assert (task.message, task.env, task.metadata, task.title) == (new.message, {"A": "1"}, {"k": [1]}, "a title")


async def test_the_same_idempotency_key_creates_one_task(store: Store) -> None:
    first = await store.create_task(ANN, new_task(idempotency_key="k"))
    second = await store.create_task(ANN, new_task(idempotency_key="k"))
    assert (second.id, second.repeated) == (first.id, True)
    assert (await store.find(ANN, Filter(), 10)).total == 1


async def test_an_idempotency_key_of_another_request_is_a_conflict(store: Store) -> None:
    await store.create_task(ANN, new_task(idempotency_key="k", request_digest="one"))
    with pytest.raises(RemitError) as caught:
        await store.create_task(ANN, new_task(idempotency_key="k", request_digest="two"))
    assert (caught.value.code, caught.value.details["field"]) == (Code.CONFLICT, "idempotencyKey")


async def test_an_idempotency_key_belongs_to_its_principal(store: Store) -> None:
    await store.create_task(ANN, new_task(idempotency_key="k"))
    assert not (await store.create_task(BOB, new_task(idempotency_key="k"))).repeated


@pytest.mark.parametrize("operation", ["task", "snapshot", "cancel", "delete", "resume_with_secrets"])
async def test_somebody_elses_task_looks_like_no_task(store: Store, operation: str) -> None:
    created = await store.create_task(ANN, new_task())
    messages = []
    for task_id in (created.id, "unknown"):
        with pytest.raises(RemitError) as caught:
            await getattr(store, operation)(BOB, task_id)
        assert caught.value.code is Code.NOT_FOUND
        messages.append(caught.value.message.replace(task_id, "ID"))
    assert messages[0] == messages[1]


@pytest.mark.behaviour("list_tasks:own")
async def test_somebody_elses_tasks_are_neither_listed_nor_counted(store: Store) -> None:
    await store.create_task(ANN, new_task())
    page = await store.find(BOB, Filter(), 10)
    assert (page.tasks, page.total) == ([], 0)


async def test_the_most_recently_active_task_is_listed_first(store: Store) -> None:
    first, second = new_task(), new_task()
    await store.create_task(ANN, first)
    await store.create_task(ANN, second)
    claim = await store.claim_run("owner")  # the first in the queue, which makes it the most recently active
    assert claim
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    page = await store.find(ANN, Filter(), 10)
    assert [task.id for task in page.tasks] == [first.id, second.id]


async def test_a_page_by_status_counts_that_status_alone(store: Store) -> None:
    await claimed(store)
    await store.create_task(ANN, new_task())
    page = await store.find(ANN, Filter(statuses=frozenset({Status.RUNNING})), 10)
    assert (len(page.tasks), page.total) == (1, 1)


async def test_a_page_of_several_states_is_in_one_order(store: Store) -> None:
    ids = []
    for number in range(6):
        claim = await claimed(store)
        ids.append(claim.task.id)
        await store.end_run(claim.run, TurnEnd([Status.COMPLETED, Status.FAILED, Status.CANCELLED][number % 3]))
    page = await store.find(ANN, Filter(statuses=ENDED), 3, 1)
    assert ([row.id for row in page.tasks], page.total) == (ids[::-1][1:4], 6)


async def test_a_deleted_task_leaves_nothing_behind(store: SqliteStore, tmp_path: Path) -> None:
    claim = await claimed(store, secrets={"A": "literal"})
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    await store.delete(ANN, claim.task.id)

    def rows(db: object) -> dict[str, int]:
        names = ("tasks", "turns", "runs", "calls", "events", "secret_names", "conversations", "sessions", "grants")
        return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}  # type: ignore[attr-defined]

    assert set((await store._db.read(rows)).values()) == {0}
    assert (await store.find(ANN, Filter(), 10)).total == 0


async def test_a_running_task_cannot_be_deleted(store: Store) -> None:
    claim = await claimed(store)
    with pytest.raises(RemitError) as caught:
        await store.delete(ANN, claim.task.id)
    assert caught.value.code is Code.CONFLICT


async def test_an_ended_task_goes_on_with_its_next_turn(store: Store) -> None:
    claim = await claimed(store, env={"A": "1", "B": "1"})
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    task = await store.open_turn(ANN, claim.task.id, new_turn(message="more", env={"A": "1", "B": "2"}))
    snapshot = await store.snapshot(ANN, task.id, messages=True)
    assert (task.status, task.turn, task.env) == (Status.PENDING, 2, {"A": "1", "B": "2"})
    assert [message.content for message in snapshot.messages if message.role == "user"] == ["$ echo hello", "more"]


async def test_an_open_task_takes_no_message(store: Store) -> None:
    created = await store.create_task(ANN, new_task())
    with pytest.raises(RemitError) as caught:
        await store.open_turn(ANN, created.id, new_turn())
    assert (caught.value.code, caught.value.details["status"]) == (Code.CONFLICT, "pending")


async def test_a_follow_up_keeps_the_session_while_it_lasts(store: Store) -> None:
    claim = await claimed(store)
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    assert (await store.open_turn(ANN, claim.task.id, new_turn())).session == claim.task.session


@pytest.mark.behaviour("send_message:session")
async def test_a_follow_up_after_its_session_has_expired_gets_a_new_one(store: Store) -> None:
    claim = await claimed(store, session_expires_at=1)
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    assert (await store.open_turn(ANN, claim.task.id, new_turn(session="fresh"))).session == "fresh"


async def test_a_session_that_no_task_is_in_any_more_is_gone(store: SqliteStore) -> None:
    claim = await claimed(store, session_expires_at=1)
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    await store.open_turn(ANN, claim.task.id, new_turn(session="fresh"))
    sessions = await store._db.read(lambda db: [row["id"] for row in db.execute("SELECT id FROM sessions")])
    assert sessions == ["fresh"]


async def test_times_follow_the_moves(store: Store) -> None:
    claim = await claimed(store)
    await store.end_run(claim.run, TurnEnd(Status.FAILED, Code.EXECUTION_ERROR, MaskedText("it broke")))
    task = await store.task(ANN, claim.task.id)
    assert task.status in ENDED
    assert task.started_at is not None
    assert task.completed_at is not None
    assert task.created_at <= task.started_at <= task.completed_at == task.last_activity_at
    assert (task.error_code, task.error) == ("EXECUTION_ERROR", "it broke")


async def test_the_ids_of_tasks_are_told_from_others(store: Store) -> None:
    ids = [(await store.create_task(principal, new_task())).id for principal in (ANN, BOB)]
    assert await store.maintenance.known_folders([ids[0], "lost", "\udcff", ids[1]]) == set(ids)
