"""Removing tasks with what goes with them, in chunks that a crash may come between."""

import pytest

from server.errors import Code, RemitError
from storage.interface import Store
from storage.records.states import Status
from storage.records.tasks import NestingLimits, Update
from storage.sqlite.operations import deletion
from storage.sqlite.store import SqliteStore
from storage.times import now
from tests.storage.relations.test_propagation import record, report
from tests.storage.samples import ANN, decision, new_task, waiting


async def delete_first_chunk(store: SqliteStore, task_id: str) -> list[str]:
    going = await store._db.read(deletion.removable, ANN, task_id, cascade=True)
    removed, _ = await store._db.write(deletion.delete_some, ANN, task_id, going, now(), cascade=True)
    return removed


async def test_a_deletion_that_is_refused_has_removed_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "CHUNK", 1)
    first = await record(store)
    dependants = [await record(store, first) for _ in range(3)]
    await report(store, first, Status.RUNNING)
    with pytest.raises(RemitError) as caught:
        await store.delete(ANN, first, cascade=True)
    assert caught.value.code is Code.CONFLICT
    assert [(await store.task(ANN, each)).status for each in dependants] == [Status.BLOCKED] * 3


@pytest.mark.parametrize(("on_failure", "status"), [("fail", Status.FAILED), ("continue", Status.PENDING)])
async def test_nobody_waits_for_what_a_server_that_died_has_removed(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, on_failure: str, status: Status
) -> None:
    monkeypatch.setattr(deletion, "CHUNK", 1)
    parent = await record(store, on_dependency_failure=on_failure)
    part = await record(store, parent=parent, nesting=NestingLimits(depth=1, count=1))
    await store.update(ANN, parent, Update(columns={}, depends_on=[part]))
    assert await delete_first_chunk(store, parent) == [part]
    task = await store.task(ANN, parent)
    assert (task.status, task.open_dependencies) == (status, 0)
    assert (task.error_code == "DEPENDENCY_FAILED" and part in (task.error or "")) == (status is Status.FAILED)


async def test_a_grant_goes_with_its_task(store: Store) -> None:
    claim = await waiting(store)
    await store.create_task(ANN, new_task(conversation=claim.task.conversation, joins=True))
    (call,) = (await store.snapshot(ANN, claim.task.id)).calls
    await store.decide_call(ANN, claim.task.id, call.id, decision("proceed_always"), secrets_at_hand=True)
    assert len(await store.grants(ANN)) == 1
    await store.delete(ANN, claim.task.id)
    assert await store.grants(ANN) == []
