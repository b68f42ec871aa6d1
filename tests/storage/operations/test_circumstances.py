"""A yes counts for a call under the circumstances it was given in, and for what is executed."""

import pytest

from server.errors import Code, RemitError
from storage.interface import Store
from storage.records.calls import HIDDEN, KEYED, Call, Outcome
from storage.records.masked import MaskedText
from storage.records.outcomes import Pause, TurnEnd
from storage.records.states import CallStatus, Status
from storage.records.tasks import Claim
from tests.storage.samples import ANN, DONE, circumstances, claimed, decision, new_call, new_turn


async def begun(store: Store, claim: Claim, variable: str) -> Call:
    """Return the first call of a run, which has asked to begin it where a variable has this value."""
    (call,) = await store.announce_calls(claim.run, [new_call()])
    return await store.begin_call(claim.run, call.id, None, circumstances=circumstances(variable))


async def decided(store: Store, outcome: Outcome) -> Claim:
    """Return a new run of a task whose call was decided in circumstances `1`."""
    claim = await claimed(store, auto_execute=False)
    call = await begun(store, claim, "1")
    await store.end_run(claim.run, Pause.SUSPENDED)
    await store.decide_call(ANN, claim.task.id, call.id, decision(outcome), secrets_at_hand=True)
    again = await store.claim_run("owner")
    assert again
    return again


async def next_turn(store: Store, claim: Claim) -> Claim:
    """Return a run of the next turn, once the call of this one has been made."""
    (call,) = await store.announce_calls(claim.run, [new_call()])
    await store.end_call(claim.run, call.id, DONE)
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    await store.open_turn(ANN, claim.task.id, new_turn())
    again = await store.claim_run("owner")
    assert again
    return again


async def test_a_call_proceeds_in_the_circumstances_of_its_yes(store: Store) -> None:
    claim = await decided(store, "proceed_once")
    assert (await begun(store, claim, "1")).status is CallStatus.EXECUTING


async def test_a_call_that_was_approved_is_asked_about_again_in_others(store: Store) -> None:
    claim = await decided(store, "proceed_once")
    call = await begun(store, claim, "2")
    assert (call.status, call.outcome, call.decided_by) == (CallStatus.AWAITING_APPROVAL, None, None)
    assert call.differs == ["1 before"]


async def test_before_the_first_yes_circumstances_differ_from_none(store: Store) -> None:
    claim = await claimed(store, auto_execute=False)
    assert (await begun(store, claim, "1")).differs == ["nothing before"]


async def test_a_no_leaves_nothing_to_differ_from(store: Store) -> None:
    claim = await decided(store, "cancel")
    await store.end_run(claim.run, TurnEnd(Status.CANCELLED))
    await store.open_turn(ANN, claim.task.id, new_turn())
    again = await store.claim_run("owner")
    assert again
    assert (await begun(store, again, "2")).differs == ["nothing before"]


async def test_a_grant_covers_its_circumstances_and_ends_with_them(store: Store) -> None:
    claim = await decided(store, "proceed_always")
    assert (await begun(store, claim, "1")).status is CallStatus.EXECUTING
    claim = await next_turn(store, claim)
    assert len(await store.grants(ANN)) == 1
    assert (await begun(store, claim, "2")).status is CallStatus.AWAITING_APPROVAL
    assert await store.grants(ANN) == []


async def test_a_grant_does_not_come_back_with_its_circumstances(store: Store) -> None:
    claim = await decided(store, "proceed_always")
    await begun(store, claim, "1")
    claim = await next_turn(store, claim)
    call = await begun(store, claim, "2")
    await store.decide_call(ANN, claim.task.id, call.id, decision(), secrets_at_hand=True)
    await begun(store, claim, "2")
    claim = await next_turn(store, claim)
    assert (await begun(store, claim, "1")).status is CallStatus.AWAITING_APPROVAL


async def test_a_call_of_which_a_part_is_hidden_is_refused_with_the_reason(store: Store) -> None:
    claim = await claimed(store, auto_execute=False)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    refused = await store.begin_call(claim.run, call.id, None, hidden=MaskedText("a line of it"))
    assert (refused.status, refused.outcome, refused.reason) == (CallStatus.CANCELLED, HIDDEN, "a line of it")


async def test_where_nobody_is_asked_a_call_of_which_a_part_is_hidden_proceeds(store: Store) -> None:
    claim = await claimed(store)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    assert (
        await store.begin_call(claim.run, call.id, None, hidden=MaskedText("a line of it"))
    ).status is CallStatus.EXECUTING


async def test_a_call_that_is_similar_to_none_cannot_be_approved_for_always(store: Store) -> None:
    claim = await claimed(store, auto_execute=False)
    (call,) = await store.announce_calls(claim.run, [new_call(similar=())])
    await store.begin_call(claim.run, call.id, None)
    with pytest.raises(RemitError, match="use proceed_once") as caught:
        await store.decide_call(ANN, claim.task.id, call.id, decision("proceed_always"), secrets_at_hand=True)
    assert caught.value.code is Code.VALIDATION_ERROR
    waiting = await store.call(ANN, claim.task.id, call.id)
    assert waiting.status is CallStatus.AWAITING_APPROVAL


@pytest.mark.parametrize("is_decided", [False, True])
async def test_a_call_whose_arguments_cannot_be_compared_any_more_is_asked_about_anew(
    store: Store, is_decided: bool
) -> None:
    claim = await claimed(store, auto_execute=False)
    (call,) = await store.announce_calls(claim.run, [new_call(digest=f"{KEYED}1", similar=())])
    await store.begin_call(claim.run, call.id, None)
    if is_decided:
        await store.decide_call(ANN, claim.task.id, call.id, decision(), secrets_at_hand=True)
    (again,) = await store.announce_calls(claim.run, [new_call(digest=f"{KEYED}2", similar=())])
    assert (again.id, again.digest, again.status, again.outcome) == (call.id, f"{KEYED}2", CallStatus.PENDING, None)
    assert (await store.begin_call(claim.run, call.id, None)).status is CallStatus.AWAITING_APPROVAL


async def test_a_call_that_is_over_stays_as_it_is(store: Store) -> None:
    claim = await claimed(store)
    (call,) = await store.announce_calls(claim.run, [new_call(digest=f"{KEYED}1", similar=())])
    await store.begin_call(claim.run, call.id, None)
    await store.end_call(claim.run, call.id, DONE)
    (again,) = await store.announce_calls(claim.run, [new_call(digest="2")])
    assert (again.digest, again.status) == (f"{KEYED}1", CallStatus.SUCCESS)


async def test_the_oldest_of_many_files_are_still_told_apart_together(store: Store) -> None:
    claim = await claimed(store)
    await store.bring_files(ANN, claim.task.id, {"first": "1"})
    await store.bring_files(ANN, claim.task.id, {str(number): "1" for number in range(500)})
    before = (await store.task(ANN, claim.task.id)).files
    await store.bring_files(ANN, claim.task.id, {"first": "2"})
    after = (await store.task(ANN, claim.task.id)).files
    assert before
    assert after
    assert (len(before), len(after), before[""] != after[""], after["first"]) == (501, 501, True, "2")
