"""Turns that were cut off: begun again or gone on with, and not for ever."""

import pytest

from storage.interface import Store
from storage.records.demands import Demands, OnInterrupt
from storage.records.masked import MaskedText
from storage.records.outcomes import Interruption
from storage.records.states import CallStatus, Status
from storage.records.tasks import AGENT, Claim
from storage.sqlite.transitions.attempts import MOST_ATTEMPTS
from tests.storage.samples import ANN, claimed, new_call, new_task


async def cut_off(store: Store, how: OnInterrupt) -> Claim:
    """Return a task in the middle of its first call of two."""
    claim = await claimed(store, demands=Demands(on_interrupt=how))
    first, _ = await store.announce_calls(claim.run, [new_call("1"), new_call("2")])
    await store.begin_call(claim.run, first.id, None)
    return claim


async def again(store: Store) -> Claim:
    """Return the next run of the task that is queued."""
    claim = await store.claim_run("owner")
    assert claim
    return claim


async def test_a_task_that_ends_its_server_each_time_fails_in_the_end(store: Store) -> None:
    claim = await cut_off(store, "retry")
    for attempt in range(2, MOST_ATTEMPTS + 1):
        assert await store.end_run(claim.run, Interruption()) is Status.PENDING
        claim = await again(store)
        assert claim.turn.attempt == attempt
        (call,) = await store.announce_calls(claim.run, [new_call("1")])
        await store.begin_call(claim.run, call.id, None)
    assert await store.end_run(claim.run, Interruption()) is Status.FAILED
    assert f"attempt {MOST_ATTEMPTS}" in str((await store.task(ANN, claim.task.id)).error)


async def test_what_only_its_process_knew_cannot_be_resumed(store: Store) -> None:
    claim = await cut_off(store, "resume")
    await store.set_process_bound(claim.run, True)
    assert await store.end_run(claim.run, Interruption()) is Status.FAILED
    assert "cannot take up its work again" in str((await store.task(ANN, claim.task.id)).error)


async def test_a_cancelled_task_is_not_tried_again(store: Store) -> None:
    claim = await cut_off(store, "retry")
    await store.cancel(ANN, claim.task.id)
    assert await store.end_run(claim.run, Interruption()) is Status.CANCELLED


async def test_an_agent_that_begins_again_knows_nothing_of_the_attempt_before(store: Store) -> None:
    claim = await cut_off(store, "retry")
    await store.remember(claim.run, MaskedText("{}"), None)
    await store.end_run(claim.run, Interruption())
    claim = await again(store)
    assert await store.announce_calls(claim.run, []) == []
    assert await store.recall(claim.run) is None


@pytest.mark.parametrize(("how", "status"), [("retry", Status.CANCELLED), ("resume", Status.PENDING)])
async def test_sub_tasks_end_with_an_attempt_that_is_begun_again(
    store: Store, how: OnInterrupt, status: Status
) -> None:
    claim = await cut_off(store, how)
    child = new_task(parent=claim.task.id, source=AGENT)
    await store.create_task(ANN, child)
    await store.end_run(claim.run, Interruption())
    assert (await store.task(ANN, child.id)).status is status


async def test_a_renewed_call_stands_behind_the_one_that_was_cut_off(store: Store) -> None:
    claim = await cut_off(store, "resume")
    await store.end_run(claim.run, Interruption())
    claim = await again(store)
    first, second = await store.announce_calls(claim.run, [])
    renewed = await store.renew_call(claim.run, first.id)
    assert [(call.key, call.status) for call in renewed] == [("1", CallStatus.PENDING), ("2", CallStatus.PENDING)]
    shown = (await store.snapshot(ANN, claim.task.id)).calls
    assert [call.id for call in shown] == [first.id, renewed[0].id, second.id]
