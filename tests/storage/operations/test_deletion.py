"""Removing a task with all that goes with it, however much that is and whatever comes to it meanwhile."""

from pathlib import Path

import pytest

from server.errors import Code, RemitError
from storage.interface import Store
from storage.records.lists import Filter
from storage.records.tasks import NestingLimits, Update
from storage.sqlite.operations import deletion
from storage.sqlite.store import SqliteStore, open_store
from storage.times import now
from tests.storage.samples import ANN, new_task

NESTING = NestingLimits(depth=5, count=100)


async def record(store: Store, *depends_on: str, parent: str | None = None) -> str:
    new = new_task(agent="none", depends_on=list(depends_on), parent=parent, nesting=NESTING)
    await store.create_task(ANN, new)
    return new.id


async def left(store: Store) -> list[str]:
    return [task.id for task in (await store.find(ANN, Filter(), 100)).tasks]


async def test_a_cascade_takes_dependants_and_sub_tasks_of_all_that_go(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "CHUNK", 2)
    first, other = await record(store), await record(store)
    second = await record(store, first, other)
    part = await record(store, parent=second)
    third = await record(store, part)
    assert await store.delete(ANN, first, cascade=True) == [third, part, second, first]
    assert await left(store) == [other]


async def test_a_task_that_waits_for_a_part_of_itself_goes_with_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "CHUNK", 1)
    whole = await record(store)
    part = await record(store, parent=whole)
    await store.update(ANN, whole, Update(columns={}, depends_on=[part]))
    assert set(await store.delete(ANN, whole, cascade=True)) == {whole, part}
    assert await left(store) == []


async def test_what_a_crash_leaves_of_a_deletion_can_be_deleted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "CHUNK", 2)
    async with open_store(tmp_path / "remit.db") as store:
        first = await record(store)
        waiting = [await record(store, first) for _ in range(4)]
        going = await store._db.read(deletion.deletion_set, ANN, first, cascade=True)
        await store._db.write(deletion.delete_some, ANN, first, going, now(), cascade=True)
    async with open_store(tmp_path / "remit.db") as store:
        assert set(await left(store)) == {first, *waiting[:2]}
        assert set(await store.delete(ANN, first, cascade=True)) == {first, *waiting[:2]}
        assert await left(store) == []


@pytest.mark.parametrize("cascade", [True, False])
async def test_what_comes_to_a_deletion_meanwhile_is_not_stranded(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, cascade: bool
) -> None:
    monkeypatch.setattr(deletion, "CHUNK", 1)
    first = await record(store)
    part = await record(store, parent=first)
    going = await store._db.read(deletion.deletion_set, ANN, first, cascade=cascade)
    late = await record(store, part)
    if cascade:
        some, going = await store._db.write(deletion.delete_some, ANN, first, going, now(), cascade=True)
        assert (some, going) == ([], [first, part, late])
    else:
        with pytest.raises(RemitError) as caught:
            await store._db.write(deletion.delete_some, ANN, first, going, now(), cascade=False)
        assert (caught.value.code, caught.value.details["dependents"]) == (Code.TASK_HAS_DEPENDENTS, [late])
    assert set(await left(store)) == {first, part, late}
