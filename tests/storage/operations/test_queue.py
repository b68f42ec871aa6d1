"""Whose turn it is: work that was started goes first, and the principals take turns."""

from storage.interface import Store
from storage.records.outcomes import Wait
from storage.records.queue import SlotDemand
from storage.records.tasks import Principal
from storage.times import now
from tests.storage.relations.test_subtasks import DONE
from tests.storage.samples import ANN, BOB, HOUR, claimed, decision, new_task, new_turn, waiting


async def queued(store: Store, principal: Principal, count: int) -> list[str]:
    """Return the ids of so many new tasks that wait."""
    return [(await store.create_task(principal, new_task())).id for _ in range(count)]


async def following(store: Store, demand: SlotDemand) -> str | None:
    """Return the id of the task that is next."""
    claim = await store.claim_run("owner", demand)
    return claim.task.id if claim else None


async def test_a_task_whose_call_was_approved_goes_before_those_that_have_not_begun(store: Store) -> None:
    asked = await waiting(store)
    await queued(store, ANN, 3)
    (call,) = (await store.snapshot(ANN, asked.task.id)).calls
    await store.decide_call(ANN, asked.task.id, call.id, decision(), secrets_at_hand=True)
    assert await following(store, SlotDemand()) == asked.task.id


async def test_a_task_whose_sub_tasks_have_ended_goes_before_those_that_have_not_begun(store: Store) -> None:
    parent = await claimed(store)
    child = await claimed(store, parent=parent.task.id, source="agent")
    await store.end_run(parent.run, Wait({child.task.id: now() + HOUR}))
    await queued(store, ANN, 3)
    await store.end_run(child.run, DONE)
    assert await following(store, SlotDemand()) == parent.task.id


async def test_the_next_turn_of_a_task_has_not_begun(store: Store) -> None:
    ended = await claimed(store)
    await store.end_run(ended.run, DONE)
    (first,) = await queued(store, ANN, 1)
    await store.open_turn(ANN, ended.task.id, new_turn())
    assert await following(store, SlotDemand()) == first


async def test_a_principal_with_fewer_tasks_at_work_is_next(store: Store) -> None:
    await queued(store, ANN, 50)
    (bobs,) = await queued(store, BOB, 1)
    assert await following(store, SlotDemand(shares={ANN.id: (1, 2), BOB.id: (0, 1)})) == bobs


async def test_of_principals_with_equally_many_the_one_served_longest_ago_is_next(store: Store) -> None:
    (anns, *_) = await queued(store, ANN, 2)
    await queued(store, BOB, 2)
    assert await following(store, SlotDemand(shares={ANN.id: (1, 1), BOB.id: (1, 2)})) == anns


async def test_a_principal_that_was_never_served_is_next(store: Store) -> None:
    await queued(store, ANN, 2)
    (bobs, *_) = await queued(store, BOB, 2)
    assert await following(store, SlotDemand(shares={ANN.id: (0, 1)})) == bobs


async def test_work_of_one_principal_that_was_started_does_not_hold_up_another(store: Store) -> None:
    asked = await waiting(store)
    (bobs,) = await queued(store, BOB, 1)
    (call,) = (await store.snapshot(ANN, asked.task.id)).calls
    await store.decide_call(ANN, asked.task.id, call.id, decision(), secrets_at_hand=True)
    assert await following(store, SlotDemand(shares={ANN.id: (1, 1)})) == bobs


async def test_whose_tasks_may_not_start_gives_the_turn_to_the_next(store: Store) -> None:
    parent = await claimed(store)
    await store.create_task(ANN, new_task(parent=parent.task.id, source="agent"))
    (bobs,) = await queued(store, BOB, 1)
    assert await following(store, SlotDemand(full=[parent.task.id], shares={BOB.id: (5, 5)})) == bobs
