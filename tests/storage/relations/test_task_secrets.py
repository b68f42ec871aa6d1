"""The secrets of a task, and those of the tasks whose folders it works in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.interface import Store
from storage.records.outcomes import Pause, TurnEnd
from storage.records.states import Status
from storage.records.tasks import Run
from storage.records.workspaces import Mode, Workspace
from storage.sqlite.store import open_store
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, new_task, new_turn

DONE = TurnEnd(Status.COMPLETED)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        yield store


def lent(mode: Mode = "readonly") -> Workspace:
    return Workspace(mode=mode, path="/lent", shared=False, owner="task", reaches=("/lent",))


def given(mode: Mode) -> Workspace:
    return Workspace(mode=mode, path="/given", shared=False, reaches=("/given",))


async def made(store: Store, **changes: object) -> str:
    new = new_task(**changes)
    await store.create_task(ANN, new)
    return new.id


async def started(store: Store, task_id: str) -> Run:
    """Return the run of the task that starts now."""
    claim = await store.claim_run("owner")
    assert claim
    assert claim.task.id == task_id
    return claim.run


async def names(store: Store, task_id: str) -> list[tuple[str, int, str]]:
    """Return the secrets that count for a task."""
    return [(record.task_id, record.turn, record.name) for record in await store.secrets_of_all_turns(task_id)]


async def test_the_secrets_of_all_turns_count_the_latest_turn_first(store: Store) -> None:
    task_id = await made(store, secrets={"A": "literal", "B": "named"})
    await store.end_run(await started(store, task_id), DONE)
    await store.open_turn(ANN, task_id, new_turn(secrets={"A": "named"}))
    assert await names(store, task_id) == [(task_id, 2, "A"), (task_id, 1, "A"), (task_id, 1, "B")]


async def test_who_works_in_a_lent_folder_has_the_secrets_of_its_makers_too(store: Store) -> None:
    first = await made(store, secrets={"A": "literal"})
    second = await made(store, parent=first, source="agent", workspace=lent(), secrets={"B": "named"})
    third = await made(store, parent=second, source="agent", workspace=lent())
    assert await names(store, third) == [(second, 1, "B"), (first, 1, "A")]
    assert await store.shared_from(third) == [second, first]


async def test_the_secrets_of_a_maker_whose_folder_is_not_lent_do_not_count(store: Store) -> None:
    first = await made(store, secrets={"A": "literal"})
    second = await made(store, parent=first, source="agent", secrets={"B": "literal"})
    third = await made(store, parent=second, source="agent", workspace=lent())
    assert await names(store, third) == [(second, 1, "B")]


async def test_who_was_made_to_write_in_a_folder_counts_for_all_who_work_there(store: Store) -> None:
    first = await made(store, workspace=given("worktree"), secrets={"A": "literal"})
    second = await made(store, parent=first, source="agent", workspace=lent("readwrite"), secrets={"B": "literal"})
    third = await made(store, parent=second, source="agent", workspace=lent("readwrite"), secrets={"C": "literal"})
    reader = await made(store, parent=first, source="agent", workspace=lent())
    assert await names(store, first) == [(first, 1, "A"), (second, 1, "B"), (third, 1, "C")]
    assert await names(store, second) == [(second, 1, "B"), (first, 1, "A"), (third, 1, "C")]
    assert await names(store, reader) == [(first, 1, "A"), (second, 1, "B"), (third, 1, "C")]
    assert [record.is_shared for record in await store.secrets_of_all_turns(reader)] == [True, False, False]
    assert await store.shared_from(reader) == [first]


async def test_who_only_reads_there_or_has_a_worktree_or_folder_of_its_own_does_not(store: Store) -> None:
    first = await made(store, workspace=given("readwrite"))
    for workspace in (given("readonly"), given("worktree"), None):
        await made(store, parent=first, source="agent", workspace=workspace, secrets={"A": "literal"})
    await made(store, parent=first, workspace=given("readwrite"), secrets={"B": "literal"})
    assert await names(store, first) == []


@pytest.mark.parametrize("above", ["worktree", "readwrite"])
async def test_so_has_who_works_in_or_on_a_worktree_of_the_users_folder_that_a_maker_works_in(
    store: Store, above: Mode
) -> None:
    first = await made(store, workspace=given(above), secrets={"A": "literal"})
    second = await made(store, parent=first, source="agent", workspace=given("worktree"))
    assert await store.shared_from(second) == [first]


async def test_the_secrets_of_a_parent_that_another_has_named_do_not_count(store: Store) -> None:
    first = await made(store, workspace=given("readwrite"), secrets={"A": "literal"})
    second = await made(store, parent=first, workspace=given("readonly"))
    assert await names(store, second) == []


async def test_a_run_is_told_who_lends_its_folder(store: Store) -> None:
    first = await made(store)
    second = await made(store, parent=first, source="agent", workspace=lent())
    await started(store, first)
    claim = await store.claim_run("owner")
    assert claim
    assert (claim.task.id, claim.shared_from) == (second, [first])


async def test_it_is_told_when_a_turn_has_ended_that_is_not_the_latest(store: Store) -> None:
    task_id = await made(store, secrets={"A": "literal"})
    await store.end_run(await started(store, task_id), DONE)
    assert [record.until for record in await store.secrets_of_all_turns(task_id)] == [None]
    await store.open_turn(ANN, task_id, new_turn(secrets={"A": "literal"}))
    latest, earlier = await store.secrets_of_all_turns(task_id)
    assert (latest.until, isinstance(earlier.until, int)) == (None, True)


@pytest.mark.parametrize("began", [True, False])
async def test_a_secret_that_a_turn_has_given_up_counts_if_the_turn_had_begun(store: Store, began: bool) -> None:
    task_id = await made(store, secrets={"A": "literal", "B": "literal"})
    if began:
        await store.end_run(await started(store, task_id), Pause.BLOCKED)
    await store.resume_with_secrets(ANN, task_id, ["A"])
    had = [(each.name, each.given_up) for each in await store.secrets_of_all_turns(task_id)]
    assert had == [*([("A", True)] if began else []), ("B", False)]
    assert await store.secret_names(ANN, task_id) == {"B": "literal"}


async def removed(store: Store, *task_ids: str) -> None:
    for task_id in task_ids:
        await store.end_run(await started(store, task_id), DONE)
    for task_id in reversed(task_ids):
        await store.delete(ANN, task_id)


async def test_the_secrets_of_a_removed_task_count_for_whose_folder_it_wrote(store: Store) -> None:
    first = await made(store)
    second = await made(store, parent=first, source="agent", workspace=lent("readwrite"), secrets={"A": "literal"})
    reader = await made(store, parent=first, source="agent", workspace=lent(), secrets={"B": "literal"})
    run = await started(store, first)
    await removed(store, second)
    await store.end_run(run, DONE)
    assert await names(store, first) == [(second, 1, "A")]
    (record,) = [record for record in await store.secrets_of_all_turns(reader) if record.name == "A"]
    assert (record.task_id, record.is_shared, record.until is None) == (second, False, False)


async def test_they_go_on_to_the_next_when_that_is_removed_as_well(store: Store) -> None:
    first = await made(store)
    second = await made(store, parent=first, source="agent", workspace=lent("readwrite"))
    third = await made(store, parent=second, source="agent", workspace=lent("readwrite"), secrets={"A": "named"})
    await started(store, first)
    await removed(store, second, third)
    assert await names(store, first) == [(third, 1, "A")]


async def test_those_of_one_that_only_read_are_gone_with_it(store: Store) -> None:
    first = await made(store)
    second = await made(store, parent=first, source="agent", workspace=lent(), secrets={"A": "literal"})
    await started(store, first)
    await removed(store, second)
    assert await names(store, first) == []
