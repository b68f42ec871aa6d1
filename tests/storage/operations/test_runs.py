"""Runs: claims, fences, cancellation, and what the start of a server settles."""

import threading
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from server.errors import Code, RemitError
from storage.interface import Store
from storage.records.events import EventKind, RunEvent
from storage.records.masked import MaskedText
from storage.records.outcomes import Interruption, TurnEnd
from storage.records.states import CallStatus, Status
from storage.records.tasks import Run
from storage.records.unwritten import Unwritten
from storage.sqlite.operations import run_ends, tasks
from storage.sqlite.store import SqliteStore, open_store
from tests.storage.listing.test_pages import opened
from tests.storage.samples import ANN, DONE, claimed, decision, new_call, new_task, waiting


async def test_tasks_are_claimed_first_come_first_served(store: Store) -> None:
    ids = [(await store.create_task(ANN, new_task())).id for _ in range(5)]
    claims = [await store.claim_run("owner") for _ in range(6)]
    assert [claim.task.id for claim in claims if claim] == ids
    assert claims[-1] is None


async def test_no_task_is_claimed_twice(store: Store) -> None:
    for _ in range(20):
        await store.create_task(ANN, new_task())
    claimed_ids: list[str] = []

    async def claim_all() -> None:
        while claim := await store.claim_run("owner"):
            claimed_ids.append(claim.task.id)

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(claim_all)
    assert len(claimed_ids) == len(set(claimed_ids)) == 20


async def test_a_run_with_a_stale_fence_can_write_nothing(store: Store) -> None:
    claim = await claimed(store)
    stale = Run(claim.run.seq, claim.run.task_id, claim.run.turn, claim.run.fence - 1)
    for write in (
        store.end_run(stale, TurnEnd(Status.COMPLETED)),
        store.append_events(stale, [RunEvent(EventKind.CONTENT, {"text": MaskedText("x")})]),
        store.announce_calls(stale, [new_call()]),
        store.record_processes(stale, [{"pid": 1}], "namespaces"),
    ):
        with pytest.raises(RemitError) as caught:
            await write
        assert caught.value.code is Code.CONFLICT
    assert (await store.task(ANN, claim.task.id)).status is Status.RUNNING


async def test_events_are_numbered_from_one_without_gaps(store: Store) -> None:
    claim = await claimed(store)

    async def append(text: str) -> None:
        await store.append_events(claim.run, [RunEvent(EventKind.CONTENT, {"text": MaskedText(text)})] * 3)

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(append, str(number))
    snapshot = await store.snapshot(ANN, claim.task.id, events_after=0, max_events=1000)
    assert [event.number for event in snapshot.events] == list(range(1, 93))


async def test_later_events_are_read_from_any_number_on(store: Store) -> None:
    claim = await claimed(store)
    last = await store.append_events(claim.run, [RunEvent(EventKind.CONTENT, {"text": MaskedText(t)}) for t in "abc"])
    snapshot = await store.snapshot(ANN, claim.task.id, events_after=last - 2, max_events=10)
    assert [event.data["text"] for event in snapshot.events] == ["b", "c"]


async def test_what_was_said_is_the_content_while_the_task_runs_and_after(store: Store) -> None:
    claim = await claimed(store)
    await store.append_events(
        claim.run,
        [RunEvent(EventKind.CONTENT, {"text": MaskedText(text)}) for text in ("one ", "two")],
    )
    assert (await store.snapshot(ANN, claim.task.id)).content == "one two"
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    assert (await store.snapshot(ANN, claim.task.id)).content == "one two"


async def test_a_pending_task_is_cancelled_at_once(store: Store) -> None:
    created = await store.create_task(ANN, new_task())
    assert (await store.cancel(ANN, created.id)).status is Status.CANCELLED


async def test_a_running_task_is_cancelled_when_its_run_ends(store: Store) -> None:
    claim = await claimed(store)
    assert (await store.cancel(ANN, claim.task.id)).status is Status.RUNNING
    assert (await store.task(ANN, claim.task.id)).cancel_requested
    assert await store.end_run(claim.run, TurnEnd(Status.COMPLETED)) is Status.CANCELLED
    assert not (await store.task(ANN, claim.task.id)).cancel_requested


async def test_cancelling_twice_changes_nothing(store: Store) -> None:
    created = await store.create_task(ANN, new_task())
    await store.cancel(ANN, created.id)
    before = await store.task(ANN, created.id)
    assert (await store.cancel(ANN, created.id)).status is Status.CANCELLED
    assert await store.task(ANN, created.id) == before


async def test_what_waited_for_a_run_goes_on_no_earlier_than_it_ended_though_the_write_had_to_wait(
    store: SqliteStore,
) -> None:
    claim = await claimed(store)
    dependant = new_task(depends_on=[claim.task.id])
    await store.create_task(ANN, dependant)
    other_write = threading.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(store._db.write, lambda _: other_write.wait(30))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(store.end_run, claim.run, TurnEnd(Status.COMPLETED))
        await anyio.wait_all_tasks_blocked()
        other_write.set()
    ended = (await store.task(ANN, claim.task.id)).completed_at
    assert ended is not None
    assert ended <= (await store.task(ANN, dependant.id)).updated_at


async def test_a_run_cut_off_in_a_call_failed_and_is_not_repeated(store: Store) -> None:
    claim = await claimed(store)
    first, _ = await store.announce_calls(claim.run, [new_call("1"), new_call("2")])
    await store.begin_call(claim.run, first.id, None)
    await store.append_events(claim.run, [RunEvent(EventKind.CONTENT, {"text": MaskedText("half")}, call_id=first.id)])
    assert (await store.recover()).interrupted == [claim.task.id]
    snapshot = await store.snapshot(ANN, claim.task.id)
    assert (snapshot.task.status, snapshot.task.error_code) == (Status.FAILED, "INTERRUPTED")
    assert [call.status for call in snapshot.calls] == [CallStatus.ERROR, CallStatus.CANCELLED]
    assert snapshot.calls[0].output == snapshot.content == "half"
    assert await store.claim_run("owner") is None


async def test_a_run_cut_off_between_two_calls_goes_on(store: Store) -> None:
    claim = await claimed(store)
    first, second = await store.announce_calls(claim.run, [new_call("1"), new_call("2")])
    await store.begin_call(claim.run, first.id, None)
    await store.end_call(claim.run, first.id, DONE)
    assert (await store.recover()).resumed == [claim.task.id]
    again = await store.claim_run("owner")
    assert again
    calls = await store.announce_calls(again.run, [new_call("1"), new_call("2")])
    assert [(call.id, call.status) for call in calls] == [
        (first.id, CallStatus.SUCCESS),
        (second.id, CallStatus.PENDING),
    ]


async def test_a_task_that_waits_for_approval_still_waits_after_a_restart(tmp_path: Path) -> None:
    async with open_store(tmp_path / "remit.db") as store:
        claim = await waiting(store, secrets={"A": "literal"})
    async with open_store(tmp_path / "remit.db") as store:
        await store.recover()
        snapshot = await store.snapshot(ANN, claim.task.id)
        assert (snapshot.task.status, snapshot.waiting) == (Status.AWAITING_APPROVAL, 1)
        decided = await store.decide_call(ANN, claim.task.id, snapshot.calls[0].id, decision(), secrets_at_hand=False)
    assert decided.status is Status.BLOCKED


async def test_a_pending_task_whose_literal_secrets_are_gone_is_blocked(store: Store) -> None:
    literal = await store.create_task(ANN, new_task(secrets={"A": "literal"}))
    named = await store.create_task(ANN, new_task(secrets={"A": "named"}))
    assert (await store.recover()).blocked == [literal.id]
    assert (await store.task(ANN, literal.id)).blocked_reason == "SECRETS_LOST"
    assert (await store.task(ANN, named.id)).status is Status.PENDING


async def test_a_blocked_task_goes_on_when_its_secrets_are_back(store: Store) -> None:
    created = await store.create_task(ANN, new_task(secrets={"A": "literal"}))
    await store.recover()
    task = await store.resume_with_secrets(ANN, created.id)
    assert (task.status, task.blocked_reason) == (Status.PENDING, None)


async def test_a_cancellation_asked_for_before_a_crash_is_kept(store: Store) -> None:
    claim = await claimed(store)
    await store.cancel(ANN, claim.task.id)
    await store.recover()
    assert (await store.task(ANN, claim.task.id)).status is Status.CANCELLED


async def test_a_run_whose_server_is_stopped_between_two_calls_goes_on(store: Store) -> None:
    claim = await claimed(store)
    await store.announce_calls(claim.run, [new_call()])
    assert await store.end_run(claim.run, Interruption()) is Status.PENDING


async def test_a_run_whose_server_is_stopped_in_a_call_failed_with_its_output_kept(store: Store) -> None:
    claim = await claimed(store)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    await store.begin_call(claim.run, call.id, None)
    unwritten = Unwritten(outputs={call.id: (MaskedText("so far"), 3)})
    assert await store.end_run(claim.run, Interruption(), unwritten=unwritten) is Status.FAILED
    (call,) = (await store.snapshot(ANN, claim.task.id)).calls
    assert (call.status, call.output, call.dropped) == (CallStatus.ERROR, "so far", 3)


async def test_a_run_ends_with_a_result_that_was_written_before_without_its_having_heard_so(store: Store) -> None:
    claim = await claimed(store)
    (call,) = await store.announce_calls(claim.run, [new_call()])
    await store.begin_call(claim.run, call.id, None)
    await store.end_call(claim.run, call.id, DONE)
    unwritten = Unwritten(results={call.id: DONE})
    assert await store.end_run(claim.run, TurnEnd(Status.CANCELLED), unwritten=unwritten) is Status.CANCELLED
    (call,) = (await store.snapshot(ANN, claim.task.id)).calls
    assert (call.status, call.output) == (DONE.status, DONE.output)


async def test_a_dead_servers_process_is_found_with_its_run(store: Store) -> None:
    claim = await claimed(store)
    await store.record_processes(claim.run, [{"pid": 7, "start_ticks": 8, "boot_id": "b"}], "namespaces")
    (leftover,) = await store.leftovers()
    assert (leftover.run, leftover.processes) == (claim.run, [{"pid": 7, "start_ticks": 8, "boot_id": "b"}])


def test_the_start_of_a_server_looks_at_no_task_but_those_that_are_open(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "remit.db")) as db:
        tasks.create(db, ANN, new_task(secrets={"A": "literal"}), 1)
        statements: list[str] = []
        db.set_trace_callback(statements.append)
        recovery = run_ends.recover(db, 2)
        db.set_trace_callback(None)
        plans = {
            row["detail"]
            for statement in statements
            if statement.startswith("SELECT t")
            for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")
        }
    assert len(recovery.blocked) == 1
    assert "SCAN t USING INDEX tasks_queue" in plans
    assert not [plan for plan in plans if plan.startswith("SCAN") and "USING" not in plan]
