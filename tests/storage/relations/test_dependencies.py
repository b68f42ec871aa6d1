"""Dependencies of a task, and changes to them."""

import pytest

from server.errors import Code, RemitError
from storage.interface import Store
from storage.records.states import Status
from storage.records.tasks import Update
from storage.sqlite.relations import dependencies
from tests.storage.relations.test_propagation import record, report
from tests.storage.samples import ANN, new_turn


async def depend(store: Store, task_id: str, *others: str) -> None:
    await store.update(ANN, task_id, Update(columns={}, depends_on=others))


async def test_what_was_satisfied_once_can_be_named_again_after_it_has_failed(store: Store) -> None:
    first, other = await record(store), await record(store)
    second = await record(store, first, other)
    await report(store, first, Status.COMPLETED)
    await store.open_turn(ANN, first, new_turn())
    await report(store, first, Status.FAILED)
    await depend(store, second, first)
    assert (await store.task(ANN, second)).status is Status.PENDING


async def test_a_record_blocked_by_hand_is_not_freed_by_what_it_waits_for(store: Store) -> None:
    first = await record(store)
    second = await record(store)
    await store.update(ANN, second, Update(columns={}, status=Status.BLOCKED, blocked_reason="the customer"))
    await depend(store, second, first)
    task = await store.task(ANN, second)
    assert (task.status, task.blocked_reason, task.open_dependencies) == (Status.BLOCKED, "the customer", 1)
    await report(store, first, Status.COMPLETED)
    assert (await store.task(ANN, second)).status is Status.BLOCKED
    await report(store, second, Status.PENDING)
    assert (await store.task(ANN, second)).status is Status.PENDING


async def test_a_task_that_was_blocked_in_the_words_of_the_store_is_not_freed_by_a_change(store: Store) -> None:
    task_id = await record(store)
    await store.update(ANN, task_id, Update(columns={}, status=Status.BLOCKED, blocked_reason="DEPENDENCIES"))
    await depend(store, task_id)
    assert (await store.task(ANN, task_id)).status is Status.BLOCKED


async def test_what_a_running_record_waits_for_cannot_be_changed(store: Store) -> None:
    first, second = await record(store), await record(store)
    await report(store, second, Status.RUNNING)
    with pytest.raises(RemitError) as caught:
        await depend(store, second, first)
    assert (caught.value.code, caught.value.details["field"]) == (Code.CONFLICT, "dependsOn")


async def chain(store: Store, length: int) -> list[str]:
    ids = [await record(store)]
    for _ in range(length - 1):
        ids.append(await record(store, ids[-1]))
    return ids


async def test_a_long_cycle_is_shown_by_its_ends(store: Store) -> None:
    ids = await chain(store, 40)
    with pytest.raises(RemitError) as caught:
        await depend(store, ids[0], ids[-1])
    details = caught.value.details
    assert (caught.value.code, details["length"]) == (Code.DEPENDENCY_CYCLE, 40)
    assert details["cycle"] == [ids[0], *ids[:-5:-1], *ids[4::-1]]
    assert len(caught.value.message) < 500


async def test_a_short_cycle_is_shown_as_a_whole(store: Store) -> None:
    ids = await chain(store, 3)
    with pytest.raises(RemitError) as caught:
        await depend(store, ids[0], ids[-1])
    assert (caught.value.details["cycle"], caught.value.details["length"]) == ([ids[0], *ids[::-1]], 3)


async def test_a_task_cannot_wait_for_itself(store: Store) -> None:
    task_id = await record(store)
    with pytest.raises(RemitError) as caught:
        await depend(store, task_id, task_id)
    assert (caught.value.details["cycle"], caught.value.details["length"]) == ([task_id, task_id], 1)


async def test_the_search_for_a_cycle_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "MOST_NEEDED", 10)
    ids, needed, last = await chain(store, 15), await record(store), await record(store)
    await depend(store, last, ids[-1])  # nothing depends on it: no cycle is possible
    await record(store, needed)
    with pytest.raises(RemitError) as caught:
        await depend(store, needed, ids[-1])
    assert (caught.value.code, caught.value.details["field"]) == (Code.LIMIT_EXCEEDED, "dependsOn")
    await depend(store, needed, ids[8])
