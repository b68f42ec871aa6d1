"""The scheduler outlives whatever becomes of a single run."""

from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import anyio
import pytest

from server.mcp.subtask_server import SubtaskServer
from server.runner.workspace.workspaces import Workspaces
from server.tasks import background
from server.tasks.background import serve_awaiting, serve_expiry, serve_propagation
from server.tasks.execution import ends
from server.tasks.execution import scheduler as scheduler_module
from server.tasks.execution.scheduler import Scheduler
from storage.errors import DatabaseError
from storage.interface import Store
from storage.records.outcomes import RunOutcome
from storage.records.queue import SlotDemand
from storage.records.states import ENDED, Status
from storage.records.tasks import CancellationResult, Claim, NewTask, Principal, Run
from storage.records.unwritten import Unwritten
from storage.sqlite.store import open_store
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, BOB, claimed, new_task, new_turn
from tests.tasks.services import services


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        yield store


@asynccontextmanager
async def scheduling(store: Store, folder: Path) -> AsyncIterator[Scheduler]:
    """Yield a scheduler at work that has a place for one task, and no agent: whatever it starts fails at once."""
    shared = services(store, Workspaces(folder / "workspaces"), max_running=1)
    scheduler = Scheduler(shared, SubtaskServer("1"), "owner")
    async with anyio.create_task_group() as group:
        group.start_soon(scheduler.serve)
        yield scheduler
        group.cancel_scope.cancel()


@asynccontextmanager
async def _given_up_run(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Scheduler, str]]:
    """Start a scheduler; yield it and the id of a task whose run's end cannot be written, once another has ended."""
    bad, good = new_task(), new_task()
    _fail_to_finish(store, bad.id, ArithmeticError("a mistake in remit"), monkeypatch)
    async with scheduling(store, folder) as scheduler:
        for new in (bad, good):
            await store.create_task(ANN, new)
            scheduler.poke()
        await ended(store, good.id)
        yield scheduler, bad.id


async def test_a_run_whose_end_cannot_be_written_does_not_end_the_others(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _given_up_run(store, tmp_path, monkeypatch) as (_, bad):
        pass
    assert (await store.task(ANN, bad)).status is Status.RUNNING


async def test_what_nobody_works_on_any_more_can_be_cancelled(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _given_up_run(store, tmp_path, monkeypatch) as (scheduler, bad):
        cancelled = await store.cancel(ANN, bad)
        assert cancelled.stopping == [bad]
        await scheduler.abandon(cancelled.stopping)
    assert (await store.task(ANN, bad)).status is Status.CANCELLED


async def test_the_end_of_a_run_is_written_however_often_that_has_failed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "SHORTEST_WAIT", 0.0)
    new = new_task()
    _fail_to_finish(store, new.id, DatabaseError("the disk fails", passes=True), monkeypatch, times=30)
    async with scheduling(store, tmp_path) as scheduler:
        await store.create_task(ANN, new)
        scheduler.poke()
        await ended(store, new.id)


async def test_the_end_of_a_run_is_written_as_soon_as_anything_can_be_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "SHORTEST_WAIT", 1000.0)
    new = new_task()
    failed = _fail_to_finish(store, new.id, DatabaseError("the disk fails", passes=True), monkeypatch, times=1)
    async with scheduling(store, tmp_path) as scheduler:
        await store.create_task(ANN, new)
        scheduler.poke()
        await failed.wait()
        await store.task(ANN, new.id)  # the scheduler has its turn meanwhile, and waits for anything to be written
        await store.create_task(ANN, new_task(agent="none"))
        await ended(store, new.id)


async def test_a_fault_that_keeps_tasks_from_starting_is_logged_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scheduler_module, "PATIENCE", 0.0)
    new = new_task()
    await store.create_task(ANN, new)
    claim, failures = store.claim_run, iter([DatabaseError("the disk is full", passes=True)] * 5)

    async def failing(owner: str, demand: SlotDemand) -> Claim | None:
        for failure in failures:
            raise failure
        return await claim(owner, demand)

    monkeypatch.setattr(store, "claim_run", failing)
    async with scheduling(store, tmp_path):
        await ended(store, new.id)
    assert (
        caplog.messages.count("no task can be started: the database failed: the disk is full; nothing was changed") == 1
    )


async def test_one_principals_many_tasks_do_not_hold_up_anothers(store: Store, tmp_path: Path) -> None:
    many = [new_task() for _ in range(20)]
    for new in many:
        await store.create_task(ANN, new)
    few = [new_task() for _ in range(2)]
    for new in few:
        await store.create_task(BOB, new)
    async with scheduling(store, tmp_path):
        for new in few:
            await ended(store, new.id, BOB)
    begun = [(await store.task(ANN, new.id)).status is not Status.PENDING for new in many]
    assert sum(begun) <= len(few) + 1


def _fail_to_finish(
    store: Store, task_id: str, error: Exception, monkeypatch: pytest.MonkeyPatch, times: int = 1_000_000
) -> anyio.Event:
    """Make writing the end of a task's run fail so many times; the event is set at the last."""
    end_run, failures, last = store.end_run, count(1), anyio.Event()

    async def end_or_break(
        run: Run, outcome: RunOutcome, ran_us: int = 0, unwritten: Unwritten | None = None
    ) -> Status:
        if run.task_id == task_id and (number := next(failures)) <= times:
            if number == times:
                last.set()
            raise error
        return await end_run(run, outcome, ran_us, unwritten)

    monkeypatch.setattr(store, "end_run", end_or_break)
    return last


async def ended(store: Store, task_id: str, principal: Principal = ANN) -> None:
    with anyio.fail_after(30):
        while True:
            with store.changes.expected(task_id) as change:
                if (await store.task(principal, task_id)).status in ENDED:
                    return
                await change.wait()


async def test_a_kept_cancellation_that_was_written_meanwhile_does_not_end_the_next_turn(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, first, second = await _two_kept_cancellations(store, monkeypatch)
    cancel = store.cancel

    async def write(principal: Principal, task_id: str) -> CancellationResult:
        if task_id == first.id:  # while it is written, the second task goes on with a message
            await kept.catch_up(ANN, second.id)
            await store.open_turn(ANN, second.id, new_turn())
        return await cancel(principal, task_id)

    monkeypatch.setattr(store, "cancel", write)
    await kept.close()
    assert (await store.task(ANN, second.id)).status is Status.PENDING


async def test_a_kept_cancellation_of_a_task_that_was_deleted_meanwhile_is_passed_over(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, first, second = await _two_kept_cancellations(store, monkeypatch)
    cancel = store.cancel

    async def write(principal: Principal, task_id: str) -> CancellationResult:
        if task_id == first.id:
            await kept.cancel(ANN, [second.id])
            await store.delete(ANN, second.id)
        return await cancel(principal, task_id)

    monkeypatch.setattr(store, "cancel", write)
    await kept.close()
    assert len(kept) == 0


async def test_a_cancellation_whose_run_cannot_be_ended_on_record_is_kept(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = await claimed(store)  # by nobody who lives
    abandon, failures = store.abandon_runs, iter([DatabaseError("the disk fails", passes=True)])

    async def fail_once(task_ids: Collection[str]) -> None:
        for failure in failures:
            raise failure
        await abandon(task_ids)

    monkeypatch.setattr(store, "abandon_runs", fail_once)
    async with scheduling(store, tmp_path) as scheduler:
        assert await scheduler.ends.cancel(ANN, [claim.task.id]) is None
        await ended(store, claim.task.id)
    assert (await store.task(ANN, claim.task.id)).status is Status.CANCELLED


@pytest.mark.parametrize("failure", [DatabaseError("the disk fails", passes=True), OSError("the disk fails")])
async def test_a_look_for_room_that_fails_does_not_end_the_scheduler(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    new = new_task()
    async with scheduling(store, tmp_path) as scheduler:
        room = scheduler._room
        failures = iter([failure])

        async def look() -> set[int] | None:
            for failure in failures:
                raise failure
            return await room()

        monkeypatch.setattr(scheduler, "_room", look)
        await store.create_task(ANN, new)
        scheduler.poke()
        await ended(store, new.id)


@pytest.mark.parametrize(
    ("serve", "asked"),
    [(serve_expiry, "next_expiry"), (serve_awaiting, "next_wake"), (serve_propagation, "propagate")],
)
@pytest.mark.parametrize("failure", [DatabaseError("the disk fails", passes=True), OSError("the disk fails")])
async def test_a_look_at_the_database_that_fails_ends_none_of_those_that_look_now_and_then(
    serve: Callable[[Store, Scheduler], Coroutine[None, None, None]],
    asked: str,
    failure: Exception,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again, failures = anyio.Event(), iter([failure])

    async def look() -> None:
        for each in failures:
            raise each
        again.set()

    monkeypatch.setattr(background, "PATIENCE", 0)
    monkeypatch.setattr(store, asked, look)
    async with scheduling(store, tmp_path) as scheduler, anyio.create_task_group() as group:
        group.start_soon(serve, store, scheduler)
        with anyio.fail_after(10):
            await again.wait()
        group.cancel_scope.cancel()


async def _two_kept_cancellations(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> tuple[ends.EndWriter, NewTask, NewTask]:
    """Return two new tasks whose cancellations could not be written, and the record that keeps these."""
    first, second = new_task(), new_task()
    kept = ends.EndWriter(store, lambda _: None, store.abandon_runs, lambda: None)
    for new in (first, second):
        await store.create_task(ANN, new)
        await _keep_cancellation(kept, store, new.id, monkeypatch)
    return kept, first, second


async def _keep_cancellation(kept: ends.EndWriter, store: Store, task_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a cancellation for later, as if the disk failed."""

    async def fail(principal: Principal, task_id: str) -> CancellationResult:
        raise DatabaseError("the disk fails", passes=True)

    with monkeypatch.context() as failing:
        failing.setattr(store, "cancel", fail)
        assert await kept.cancel(ANN, [task_id]) is None
