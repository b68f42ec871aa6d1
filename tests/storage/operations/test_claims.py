"""Claiming a record: who is first has it."""

import pytest

from server.errors import Code, RemitError
from storage.interface import Store
from storage.records.states import Status
from storage.records.tasks import Update
from tests.storage.relations.test_propagation import record
from tests.storage.samples import ANN


async def claim(store: Store, task_id: str, claimant: str | None) -> None:
    columns = {"assigned_agent": claimant} if claimant else {}
    await store.update(ANN, task_id, Update(columns=columns, status=Status.RUNNING))


@pytest.mark.parametrize(
    ("first", "second"), [("a-1", "a-2"), ("a-1", None), (None, "a-2")], ids=lambda name: str(name)
)
async def test_a_second_claim_is_a_conflict_and_changes_nothing(
    store: Store, first: str | None, second: str | None
) -> None:
    task_id = await record(store)
    await claim(store, task_id, first)
    before = await store.task(ANN, task_id)
    with pytest.raises(RemitError) as caught:
        await claim(store, task_id, second)
    assert (caught.value.code, caught.value.details["assignedAgentId"]) == (Code.CONFLICT, first)
    assert await store.task(ANN, task_id) == before


@pytest.mark.parametrize("name", ["a-1", None])
async def test_who_has_a_record_may_say_so_again(store: Store, name: str | None) -> None:
    task_id = await record(store)
    await claim(store, task_id, name)
    await claim(store, task_id, name)
    assert (await store.task(ANN, task_id)).assigned_agent == name
