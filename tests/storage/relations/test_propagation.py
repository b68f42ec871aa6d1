"""The end of a task, told to those that wait for it."""

from pathlib import Path

import pytest

from server.errors import Code, RemitError
from storage.interface import Store
from storage.records.states import Status
from storage.records.tasks import Update
from storage.sqlite.relations import propagation
from storage.sqlite.store import open_store
from tests.storage.samples import ANN, new_task, new_turn


async def record(store: Store, *depends_on: str, **changes: object) -> str:
    new = new_task(agent="none", depends_on=list(depends_on), **changes)
    await store.create_task(ANN, new)
    return new.id


async def report(store: Store, task_id: str, status: Status) -> None:
    await store.update(ANN, task_id, Update(columns={}, status=status))


async def statuses(store: Store, ids: list[str]) -> set[Status]:
    return {(await store.task(ANN, task_id)).status for task_id in ids}


@pytest.mark.parametrize(("ended", "told"), [(Status.COMPLETED, Status.PENDING), (Status.FAILED, Status.FAILED)])
async def test_a_crash_in_the_middle_forgets_no_dependant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: Status, told: Status
) -> None:
    monkeypatch.setattr(propagation, "CHUNK", 3)
    async with open_store(tmp_path / "remit.db") as store:
        first = await record(store)
        waiting = [await record(store, first) for _ in range(8)]
        await report(store, first, ended)
        assert await statuses(store, waiting) == {told, Status.BLOCKED}
    async with open_store(tmp_path / "remit.db") as store:
        while await store.propagate():
            pass
        assert await statuses(store, waiting) == {told}


async def test_every_task_of_a_chain_names_the_first_that_failed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagation, "CHUNK", 2)
    first = await record(store)
    chain = [first]
    for _ in range(6):
        chain.append(await record(store, chain[-1]))
    await report(store, first, Status.FAILED)
    while await store.propagate():
        pass
    ends = [await store.task(ANN, task_id) for task_id in chain[1:]]
    assert {(task.status, task.error_code) for task in ends} == {(Status.FAILED, "DEPENDENCY_FAILED")}
    assert all(first in (task.error or "") for task in ends)


async def test_what_was_satisfied_once_stays_so(store: Store) -> None:
    first, other = await record(store), await record(store)
    second = await record(store, first, other)
    await report(store, first, Status.COMPLETED)
    snapshot = await store.snapshot(ANN, second)
    assert (snapshot.task.status, snapshot.blocked_by) == (Status.BLOCKED, [other])
    await report(store, other, Status.COMPLETED)
    assert (await store.task(ANN, second)).status is Status.PENDING


async def test_one_of_several_failures_ends_a_task_once(store: Store) -> None:
    first, other = await record(store), await record(store)
    second = await record(store, first, other)
    await report(store, first, Status.CANCELLED)
    await report(store, other, Status.FAILED)
    task = await store.task(ANN, second)
    assert (task.status, task.error) == (Status.FAILED, f"the task depends on {first}, which was cancelled")


async def test_nobody_is_told_by_a_task_that_nobody_waits_for(store: Store) -> None:
    await report(store, await record(store), Status.COMPLETED)
    assert not await store.propagate()


async def test_a_task_that_has_failed_goes_on_once_it_does_not_wait_for_the_failure_any_more(store: Store) -> None:
    first = await record(store)
    second = await record(store, first)
    await report(store, first, Status.FAILED)
    with pytest.raises(RemitError) as caught:
        await store.open_turn(ANN, second, new_turn())
    await store.update(ANN, second, Update(columns={}, depends_on=[]))
    task = await store.open_turn(ANN, second, new_turn())
    assert (caught.value.code, task.status) == (Code.DEPENDENCY_FAILED, Status.PENDING)


@pytest.mark.parametrize(("ended", "told"), [(Status.COMPLETED, Status.PENDING), (Status.FAILED, Status.FAILED)])
async def test_a_task_goes_on_once_all_that_waited_know_of_its_end(
    store: Store, monkeypatch: pytest.MonkeyPatch, ended: Status, told: Status
) -> None:
    monkeypatch.setattr(propagation, "CHUNK", 3)
    first = await record(store)
    waiting = [await record(store, first) for _ in range(8)]
    await report(store, first, ended)
    await store.open_turn(ANN, first, new_turn())
    assert await statuses(store, waiting) == {told}


@pytest.mark.parametrize("ended", [Status.COMPLETED, Status.FAILED])
async def test_an_end_of_a_turn_before_is_no_news_to_a_new_dependant(
    store: Store, monkeypatch: pytest.MonkeyPatch, ended: Status
) -> None:
    monkeypatch.setattr(propagation, "CHUNK", 3)
    first = await record(store)
    for _ in range(8):
        await record(store, first)
    await report(store, first, ended)
    await store.open_turn(ANN, first, new_turn())
    new = await record(store, first)
    while await store.propagate():
        pass
    assert (await store.task(ANN, new)).status is Status.BLOCKED


async def test_a_later_failure_takes_nothing_from_those_whom_a_completion_frees(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propagation, "CHUNK", 3)
    first = await record(store)
    waiting = [await record(store, first) for _ in range(8)]
    await report(store, first, Status.COMPLETED)
    await store.open_turn(ANN, first, new_turn())
    await report(store, first, Status.FAILED)
    while await store.propagate():
        pass
    assert await statuses(store, waiting) == {Status.PENDING}


async def test_what_has_ended_may_be_reported_again_while_it_waits_for_others_once_more(store: Store) -> None:
    first, second = await record(store), await record(store)
    await report(store, second, Status.COMPLETED)
    await store.update(ANN, second, Update(columns={}, depends_on=[first]))
    await report(store, second, Status.COMPLETED)
    assert (await store.task(ANN, second)).status is Status.COMPLETED
