"""The gate before every call, decisions and grants."""

import pytest

from server.errors import Code, RemitError
from storage.interface import Store
from storage.records.outcomes import Pause, TurnEnd
from storage.records.states import CallStatus, Status
from storage.records.tasks import Claim
from storage.times import now
from tests.storage.samples import ANN, BOB, DONE, claimed, decision, new_call, new_turn, waiting


async def _waiting_call(store: Store, claim: Claim) -> str:
    (call,) = [c for c in (await store.snapshot(ANN, claim.task.id)).calls if c.status == "awaiting_approval"]
    return call.id


async def test_a_call_of_a_task_that_executes_by_itself_may_proceed(store: Store) -> None:
    claim = await claimed(store)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    assert (await store.begin_call(claim.run, call.id, None)).status is CallStatus.EXECUTING


async def test_a_call_waits_for_approval_where_the_task_asks(store: Store) -> None:
    claim = await claimed(store, auto_execute=False)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    assert (await store.begin_call(claim.run, call.id, None)).status is CallStatus.AWAITING_APPROVAL
    assert await store.end_run(claim.run, Pause.SUSPENDED) is Status.AWAITING_APPROVAL


async def test_an_approved_call_proceeds_in_the_next_run(store: Store) -> None:
    claim = await waiting(store)
    call_id = await _waiting_call(store, claim)
    decided = await store.decide_call(ANN, claim.task.id, call_id, decision(), secrets_at_hand=True)
    assert decided.status is Status.PENDING
    again = await store.claim_run("owner")
    assert again
    assert (await store.begin_call(again.run, call_id, None)).status is CallStatus.EXECUTING


async def test_a_decision_that_comes_before_the_run_has_ended_queues_the_task_at_once(store: Store) -> None:
    claim = await claimed(store, auto_execute=False)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    await store.begin_call(claim.run, call.id, None)
    await store.decide_call(ANN, claim.task.id, call.id, decision(), secrets_at_hand=True)
    assert await store.end_run(claim.run, Pause.SUSPENDED) is Status.PENDING


async def test_the_same_decision_twice_repeats_its_answer(store: Store) -> None:
    claim = await waiting(store)
    call_id = await _waiting_call(store, claim)
    first = await store.decide_call(ANN, claim.task.id, call_id, decision(), secrets_at_hand=True)
    second = await store.decide_call(ANN, claim.task.id, call_id, decision(), secrets_at_hand=True)
    assert (first.repeated, second.repeated, second.call) == (False, True, first.call)


async def test_a_different_decision_afterwards_is_a_conflict(store: Store) -> None:
    claim = await waiting(store)
    call_id = await _waiting_call(store, claim)
    await store.decide_call(ANN, claim.task.id, call_id, decision(), secrets_at_hand=True)
    with pytest.raises(RemitError) as caught:
        await store.decide_call(ANN, claim.task.id, call_id, decision("cancel"), secrets_at_hand=True)
    assert caught.value.code is Code.CONFLICT


async def test_an_approval_that_races_with_a_cancellation_is_a_conflict(store: Store) -> None:
    claim = await waiting(store)
    call_id = await _waiting_call(store, claim)
    await store.cancel(ANN, claim.task.id)
    with pytest.raises(RemitError) as caught:
        await store.decide_call(ANN, claim.task.id, call_id, decision(), secrets_at_hand=True)
    assert caught.value.code is Code.CONFLICT


async def test_somebody_elses_call_cannot_be_decided(store: Store) -> None:
    claim = await waiting(store)
    with pytest.raises(RemitError) as caught:
        await store.decide_call(BOB, claim.task.id, await _waiting_call(store, claim), decision(), secrets_at_hand=True)
    assert caught.value.code is Code.NOT_FOUND


async def test_a_call_of_another_task_cannot_be_decided_through_this_one(store: Store) -> None:
    mine, other = await waiting(store), await waiting(store)
    with pytest.raises(RemitError) as caught:
        await store.decide_call(ANN, mine.task.id, await _waiting_call(store, other), decision(), secrets_at_hand=True)
    assert caught.value.code is Code.NOT_FOUND


async def test_a_call_cannot_be_announced_again_with_other_arguments(store: Store) -> None:
    claim = await claimed(store)
    await store.announce_calls(claim.run, [new_call("1", digest="one")])
    with pytest.raises(RemitError) as caught:
        await store.announce_calls(claim.run, [new_call("1", digest="two")])
    assert caught.value.code is Code.CONFLICT


async def test_an_expired_approval_means_no(store: Store) -> None:
    claim = await claimed(store, auto_execute=False)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    await store.begin_call(claim.run, call.id, now())
    await store.end_run(claim.run, Pause.SUSPENDED)
    with pytest.raises(RemitError) as caught:
        await store.decide_call(ANN, claim.task.id, call.id, decision(), secrets_at_hand=True)
    assert caught.value.code is Code.APPROVAL_EXPIRED
    assert await store.expire_calls() == [claim.task.id]
    snapshot = await store.snapshot(ANN, claim.task.id)
    assert (snapshot.calls[0].status, snapshot.task.status) == (CallStatus.CANCELLED, Status.PENDING)


async def test_the_next_expiry_is_known(store: Store) -> None:
    claim = await claimed(store, auto_execute=False)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    assert await store.next_expiry() is None
    await store.begin_call(claim.run, call.id, 12345)
    assert await store.next_expiry() == 12345


async def test_a_grant_lets_similar_calls_of_its_session_proceed(store: Store) -> None:
    claim = await waiting(store, new_call("1", similar=("exact:1", "words:git status")), new_call("2"))
    call_id = await _waiting_call(store, claim)
    await store.decide_call(ANN, claim.task.id, call_id, decision("proceed_always"), secrets_at_hand=True)
    again = await store.claim_run("owner")
    assert again
    await store.begin_call(again.run, call_id, None)
    await store.end_call(again.run, call_id, DONE)
    *_, alike, unlike = await store.announce_calls(
        again.run,
        [
            new_call("3", similar=("exact:3", "words:git status"), digest="3"),
            new_call("4", similar=("exact:4", "words:git push"), digest="4"),
        ],
    )
    assert (await store.begin_call(again.run, alike.id, None)).status is CallStatus.EXECUTING
    assert (await store.begin_call(again.run, unlike.id, None)).status is CallStatus.AWAITING_APPROVAL


async def test_a_grant_holds_for_the_next_turn_of_its_session(store: Store) -> None:
    claim = await _granted(store)
    await store.open_turn(ANN, claim.task.id, new_turn())
    assert await _first_call(store) is CallStatus.EXECUTING


async def test_a_grant_given_after_its_session_has_expired_prolongs_it(store: Store) -> None:
    claim = await waiting(store, session_expires_at=1)
    call_id = await _waiting_call(store, claim)
    await store.decide_call(ANN, claim.task.id, call_id, decision("proceed_always"), secrets_at_hand=True)
    assert len(await store.grants(ANN)) == 1


async def test_a_revoked_grant_lets_nothing_proceed(store: Store) -> None:
    claim = await _granted(store)
    (grant,) = await store.grants(ANN)
    await store.revoke_grant(ANN, grant.id)
    await store.open_turn(ANN, claim.task.id, new_turn())
    assert await _first_call(store) is CallStatus.AWAITING_APPROVAL
    assert await store.grants(ANN) == []


async def test_somebody_elses_grants_cannot_be_seen_or_revoked(store: Store) -> None:
    await _granted(store)
    (grant,) = await store.grants(ANN)
    assert await store.grants(BOB) == []
    with pytest.raises(RemitError) as caught:
        await store.revoke_grant(BOB, grant.id)
    assert caught.value.code is Code.NOT_FOUND


async def test_a_grant_of_one_task_does_not_hold_for_another(store: Store) -> None:
    await _granted(store)
    claim = await waiting(store)
    assert (await store.task(ANN, claim.task.id)).status is Status.AWAITING_APPROVAL


async def _granted(store: Store) -> Claim:
    """Return an ended task with a grant for the calls that `new_call` makes."""
    claim = await waiting(store)
    call_id = await _waiting_call(store, claim)
    await store.decide_call(ANN, claim.task.id, call_id, decision("proceed_always"), secrets_at_hand=True)
    again = await store.claim_run("owner")
    assert again
    await store.begin_call(again.run, call_id, None)
    await store.end_call(again.run, call_id, DONE)
    await store.end_run(again.run, TurnEnd(Status.COMPLETED))
    return claim


async def _first_call(store: Store) -> CallStatus:
    claim = await store.claim_run("owner")
    assert claim
    (call,) = await store.announce_calls(claim.run, [new_call()])
    return (await store.begin_call(claim.run, call.id, None)).status


async def test_a_call_that_has_not_begun_is_given_other_arguments_and_its_decision_is_about_those(store: Store) -> None:
    claim = await claimed(store, auto_execute=False)
    await store.announce_calls(claim.run, [new_call("1", digest="one", similar=("words",))])
    call = await store.amend_call(claim.run, new_call("1", digest="two", similar=("exact",)))
    assert (call.digest, (await store.begin_call(claim.run, call.id, None)).status) == (
        "two",
        CallStatus.AWAITING_APPROVAL,
    )


@pytest.mark.parametrize("decided", [False, True])
async def test_a_call_that_waits_or_was_decided_keeps_its_arguments(store: Store, decided: bool) -> None:
    claim = await claimed(store, auto_execute=False)
    (call,) = await store.announce_calls(claim.run, [new_call("1", digest="one")])
    await store.begin_call(claim.run, call.id, None)
    if decided:
        await store.decide_call(ANN, claim.task.id, call.id, decision(), secrets_at_hand=True)
    with pytest.raises(RemitError) as caught:
        await store.amend_call(claim.run, new_call("1", digest="two"))
    assert caught.value.code is Code.CONFLICT
