"""Runs whose process stays while a decision is waited for, and what their agents remember."""

from pathlib import Path

import pytest

from server.errors import RemitError
from storage.interface import Store
from storage.records.calls import Call, CallResult
from storage.records.masked import MaskedText
from storage.records.outcomes import Pause, TurnEnd
from storage.records.states import CallStatus, Status
from storage.records.tasks import Claim, TurnUsage
from storage.sqlite.store import open_store
from tests.storage.samples import ANN, DONE, claimed, decision, new_call, new_turn


async def staying(store: Store, *calls: str) -> tuple[Claim, list[Call]]:
    """Return a run that waits for all of its calls to be decided."""
    claim = await claimed(store, auto_execute=False)
    known = await store.announce_calls(claim.run, [new_call(key) for key in calls or ("1",)])
    for call in known:
        await store.begin_call(claim.run, call.id, None)
    await store.wait_for_decision(claim.run)
    return claim, known


async def status(store: Store, claim: Claim) -> Status:
    return (await store.task(ANN, claim.task.id)).status


async def decide(store: Store, claim: Claim, call: Call, outcome: str = "proceed_once") -> None:
    answer = decision("cancel" if outcome == "cancel" else "proceed_once")
    await store.decide_call(ANN, claim.task.id, call.id, answer, secrets_at_hand=False)


async def decide_at_hand(store: Store, claim: Claim, call: Call) -> None:
    """Approve a call of a task whose secrets are at hand, which goes on with its next run."""
    await store.decide_call(ANN, claim.task.id, call.id, decision(), secrets_at_hand=True)


async def test_a_run_that_stays_still_holds_its_task(store: Store) -> None:
    claim, _ = await staying(store)
    assert await status(store, claim) is Status.AWAITING_APPROVAL
    await store.remember(claim.run, MaskedText("{}"), None)
    assert await store.claim_run("another") is None


async def test_a_decision_lets_it_go_on_where_it_is(store: Store) -> None:
    claim, (call,) = await staying(store)
    await decide(store, claim, call)
    assert await status(store, claim) is Status.RUNNING
    assert await store.claim_run("another") is None
    assert (await store.begin_call(claim.run, call.id, None)).status is CallStatus.EXECUTING


async def test_it_runs_while_one_call_is_made_and_another_waits(store: Store) -> None:
    claim, (first, second) = await staying(store, "1", "2")
    await decide(store, claim, first)
    await store.begin_call(claim.run, first.id, None)
    await store.wait_for_decision(claim.run)
    assert await status(store, claim) is Status.RUNNING
    await store.end_call(claim.run, first.id, DONE)
    await store.wait_for_decision(claim.run)
    assert await status(store, claim) is Status.AWAITING_APPROVAL
    await decide(store, claim, second, "cancel")
    assert await status(store, claim) is Status.RUNNING


async def test_it_runs_again_as_soon_as_it_makes_another_call(store: Store) -> None:
    claim, _ = await staying(store)
    *_, other = await store.announce_calls(claim.run, [new_call("other")])
    await store.begin_call(claim.run, other.id, None, asked=False)
    assert await status(store, claim) is Status.RUNNING
    assert (await store.wait_for_decision(claim.run))[0] is False
    await store.end_call(claim.run, other.id, DONE)
    assert (await store.wait_for_decision(claim.run))[0] is True
    assert await status(store, claim) is Status.AWAITING_APPROVAL


async def test_it_waits_also_where_a_call_was_approved_before_it_that_its_agent_asks_for_no_more(store: Store) -> None:
    claim, (call,) = await staying(store)
    await store.end_run(claim.run, Pause.SUSPENDED)
    await decide_at_hand(store, claim, call)
    again = await store.claim_run("owner")
    assert again
    *_, other = await store.announce_calls(again.run, [new_call("other")])
    await store.begin_call(again.run, other.id, None)
    assert (await store.wait_for_decision(again.run))[0] is True
    assert await status(store, again) is Status.AWAITING_APPROVAL


async def test_it_can_be_paused_while_a_call_waits(store: Store) -> None:
    claim, _ = await staying(store)
    assert await store.end_run(claim.run, Pause.PAUSED) is Status.PAUSED
    assert (await store.cancel(ANN, claim.task.id)).status is Status.CANCELLED


async def test_it_can_end_while_a_call_waits(store: Store) -> None:
    claim, (call,) = await staying(store)
    assert await store.end_run(claim.run, TurnEnd(Status.COMPLETED)) is Status.COMPLETED
    (known,) = (await store.snapshot(ANN, claim.task.id)).calls
    assert (known.id, known.status) == (call.id, CallStatus.CANCELLED)


async def test_cancelling_it_waits_for_its_process(store: Store) -> None:
    claim, _ = await staying(store)
    cancelled = await store.cancel(ANN, claim.task.id)
    assert (cancelled.status, cancelled.stopping) == (Status.RUNNING, [claim.task.id])
    assert await store.end_run(claim.run, TurnEnd(Status.COMPLETED)) is Status.CANCELLED


async def test_a_call_taken_back_lets_it_go_on(store: Store) -> None:
    claim, (call,) = await staying(store)
    await store.end_call(claim.run, call.id, CallResult(CallStatus.ERROR, MaskedText("the turn was over")))
    assert await status(store, claim) is Status.RUNNING
    (known,) = (await store.snapshot(ANN, claim.task.id)).calls
    assert (known.status, known.reason) == (CallStatus.CANCELLED, "the agent took it back")


async def test_what_an_agent_did_unasked_is_told_and_counted(store: Store) -> None:
    claim = await claimed(store, auto_execute=False, max_calls=1)
    first, second = await store.announce_calls(claim.run, [new_call("1"), new_call("2")])
    begun = await store.begin_call(claim.run, first.id, None, asked=False)
    assert (begun.status, begun.reason, begun.outcome) == (CallStatus.EXECUTING, "the agent did not ask", None)
    assert (await store.begin_call(claim.run, second.id, None, asked=False)).status is CallStatus.PENDING


async def test_a_dead_servers_waiting_call_still_waits_where_the_work_can_go_on(tmp_path: Path) -> None:
    async with open_store(tmp_path / "remit.db") as store:
        claim, (call,) = await staying(store)
    async with open_store(tmp_path / "remit.db") as store:
        assert (await store.recover()).resumed == [claim.task.id]
        assert await status(store, claim) is Status.AWAITING_APPROVAL
        await store.decide_call(ANN, claim.task.id, call.id, decision(), secrets_at_hand=True)
        again = await store.claim_run("another")
        assert again
        assert (await store.begin_call(again.run, call.id, None)).status is CallStatus.EXECUTING


async def test_bound_work_is_lost_with_its_process(tmp_path: Path) -> None:
    async with open_store(tmp_path / "remit.db") as store:
        claim, _ = await staying(store)
        await store.set_process_bound(claim.run, True)
    async with open_store(tmp_path / "remit.db") as store:
        assert (await store.recover()).interrupted == [claim.task.id]
        task = await store.task(ANN, claim.task.id)
        assert (task.status, task.error_code) == (Status.FAILED, "INTERRUPTED")
        (call,) = (await store.snapshot(ANN, claim.task.id)).calls
        assert call.status is CallStatus.CANCELLED


async def test_what_is_remembered_belongs_to_its_turn(store: Store) -> None:
    claim = await claimed(store)
    await store.remember(claim.run, MaskedText('{"at":1}'), TurnUsage(1, 20, 3))
    await store.remember(claim.run, MaskedText('{"at":2}'), TurnUsage(1, 30, 4))
    assert await store.recall(claim.run) == '{"at":2}'
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    turn = (await store.snapshot(ANN, claim.task.id)).turn
    assert (turn.requests, turn.input_tokens, turn.output_tokens) == (2, 50, 7)
    await store.open_turn(ANN, claim.task.id, new_turn())
    again = await store.claim_run("owner")
    assert again
    assert (await store.recall(again.run), await store.recall(again.run, back=1)) == (None, '{"at":2}')


async def test_the_history_of_a_turn_is_what_came_before_it(store: Store) -> None:
    claim = await claimed(store, message="first")
    assert await store.history(claim.run) == []
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    await store.open_turn(ANN, claim.task.id, new_turn(message="second"))
    again = await store.claim_run("owner")
    assert again
    assert [(message.role, message.content) for message in await store.history(again.run)] == [
        ("user", "first"),
        ("assistant", ""),
    ]


async def test_a_run_that_has_ended_remembers_nothing(store: Store) -> None:
    claim = await claimed(store)
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    with pytest.raises(RemitError, match="no longer holds"):
        await store.remember(claim.run, MaskedText("{}"), None)
