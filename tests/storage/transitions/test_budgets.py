"""Budgets of tool calls: a task pauses where they are used up, and goes on where it gets more."""

import pytest

from server.errors import Code, RemitError
from storage.interface import Store
from storage.records.lists import Filter
from storage.records.outcomes import Pause
from storage.records.states import CallStatus, Status
from storage.records.tasks import Update
from storage.sqlite.store import SqliteStore
from tests.storage.samples import ANN, DONE, claimed, new_call, waiting


async def paused(store: SqliteStore) -> str:
    claim = await claimed(store, max_calls=1)
    await store._db.write(lambda db: db.execute("UPDATE tasks SET calls_left = 0"))
    await store.end_run(claim.run, Pause.PAUSED)
    return claim.task.id


async def test_a_paused_task_goes_on_with_its_budget_once_more(store: SqliteStore) -> None:
    assert (await store.resume(ANN, await paused(store))).status is Status.PENDING


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.PAUSED}))
async def test_a_task_that_is_not_paused_cannot_be_let_go_on(store: SqliteStore, status: Status) -> None:
    task_id = (await waiting(store)).task.id
    await store._db.write(lambda db: db.execute("UPDATE tasks SET status = ?", (status,)))
    before = await store.task(ANN, task_id)
    with pytest.raises(RemitError) as caught:
        await store.resume(ANN, task_id)
    assert (caught.value.code, caught.value.details["status"]) == (Code.CONFLICT, status)
    assert await store.task(ANN, task_id) == before


async def test_a_budget_set_in_the_middle_of_a_turn_counts_the_calls_it_has_made(store: Store) -> None:
    claim = await claimed(store)
    calls = await store.announce_calls(claim.run, [new_call(key) for key in "1234"])
    for call in calls[:2]:
        await store.begin_call(claim.run, call.id, None)
        await store.end_call(claim.run, call.id, DONE)
    await store.update(ANN, claim.task.id, Update(columns={}, max_calls=3))
    begun = [(await store.begin_call(claim.run, call.id, None)).status for call in calls[2:]]
    assert begun == [CallStatus.EXECUTING, CallStatus.PENDING]


async def test_a_paused_task_still_lists_its_call_that_waits_for_approval(store: SqliteStore) -> None:
    claim = await claimed(store, auto_execute=False, max_calls=1)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    await store.begin_call(claim.run, call.id, None)
    await store._db.write(lambda db: db.execute("UPDATE tasks SET calls_left = 0"))
    await store.end_run(claim.run, Pause.PAUSED)
    page = await store.find(ANN, Filter(), 10)
    assert ([task.status for task in page.tasks], page.waiting) == ([Status.PAUSED], {claim.run.seq: 1})


async def test_a_blocked_task_still_lists_its_call_that_waits_for_approval(store: Store) -> None:
    claim = await claimed(store, auto_execute=False)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    await store.begin_call(claim.run, call.id, None)
    await store.end_run(claim.run, Pause.BLOCKED)
    page = await store.find(ANN, Filter(), 10)
    assert ([task.status for task in page.tasks], page.waiting) == ([Status.BLOCKED], {claim.run.seq: 1})
