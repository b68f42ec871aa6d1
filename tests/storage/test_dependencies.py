"""What a task waits for, and how that can be changed."""

from storage.records import Update
from storage.states import Status
from storage.store import Store
from tests.storage.samples import ANN, new_turn
from tests.storage.test_propagation import record, report


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
