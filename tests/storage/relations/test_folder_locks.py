"""Folder locks: who may work in a folder, and the order of those that wait."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest

from storage.interface import Store
from storage.records.lists import Filter
from storage.records.outcomes import Interruption, TurnEnd
from storage.records.states import BUSY, Status
from storage.records.workspaces import Workspace
from storage.sqlite.store import open_store
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, BOB, new_task, new_turn

DONE = TurnEnd(Status.COMPLETED)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        yield store


def folder(
    path: str, mode: Literal["worktree", "readwrite", "readonly"] = "readwrite", *, shared: bool = False
) -> Workspace:
    return Workspace(mode=mode, path=path, shared=shared, reaches=(path,))


async def created(store: Store, workspace: Workspace | None, **changes: object) -> str:
    new = new_task(workspace=workspace, **changes)
    await store.create_task(ANN, new)
    return new.id


async def started(store: Store) -> list[str]:
    """Return the tasks that start now."""
    found = []
    while claim := await store.claim_run("owner"):
        found.append(claim.task.id)
    return found


async def finish(store: Store, task_id: str) -> None:
    (run,) = [leftover.run for leftover in await store.leftovers() if leftover.run.task_id == task_id]
    await store.end_run(run, DONE)


async def test_those_who_wait_for_a_folder_get_it_in_the_order_of_the_queue(store: Store) -> None:
    ids = [await created(store, folder("/a")) for _ in range(4)]
    order = []
    while some := await started(store):
        order += some
        await finish(store, some[0])
    assert order == ids


async def test_whoever_comes_later_does_not_overtake_one_that_waits(store: Store) -> None:
    first, alone, later = [await created(store, folder("/a", shared=shared)) for shared in (True, False, True)]
    assert await started(store) == [first]
    assert (await store.snapshot(ANN, later)).blocked_by == [alone]
    await finish(store, first)
    assert await started(store) == [alone]
    await finish(store, alone)
    assert await started(store) == [later]


async def test_one_that_is_cancelled_while_it_waits_keeps_nobody(store: Store) -> None:
    first, alone, later = [await created(store, folder("/a", shared=shared)) for shared in (True, False, True)]
    assert await started(store) == [first]
    await store.cancel(ANN, alone)
    assert await started(store) == [later]


async def test_an_unrelated_folder_is_free(store: Store) -> None:
    ids = [await created(store, folder(path)) for path in ("/a", "/ab", "/b/a")]
    assert await started(store) == ids


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (folder("/a", shared=True), folder("/a", shared=True), True),
        (folder("/a", shared=True), folder("/a"), False),
        (folder("/a", shared=True), folder("/a/b", shared=True), False),
        (folder("/a/b", shared=True), folder("/a", shared=True), False),
        (folder("/a"), folder("/a", "readonly"), True),
        (folder("/a"), folder("/a/b", "readonly"), False),
        (folder("/a/b"), folder("/a", "readonly"), True),
        (folder("/a", "readonly"), folder("/a", "readonly"), True),
        (folder("/a/.git", "worktree"), folder("/a/.git", "worktree"), True),
        (folder("/a/.git", "worktree"), folder("/a"), False),
        (folder("/a/.git", "worktree"), folder("/a", "readonly"), True),
    ],
)
async def test_who_works_beside_whom(store: Store, first: Workspace, second: Workspace, together: bool) -> None:
    ids = [await created(store, first), await created(store, second)]
    assert await started(store) == (ids if together else ids[:1])


async def test_a_task_of_somebody_else_keeps_others_out_as_well(store: Store) -> None:
    await store.create_task(BOB, new_task(workspace=folder("/a")))
    mine = await created(store, folder("/a"))
    assert mine not in await started(store)
    assert (await store.task(ANN, mine)).blocked_reason == BUSY


async def test_nobody_is_told_which_task_of_somebody_elses_keeps_theirs_out(store: Store) -> None:
    await store.create_task(BOB, new_task(workspace=folder("/a")))
    mine = await created(store, folder("/a", shared=True))
    await started(store)
    assert await waits(store, mine)
    assert (await store.snapshot(ANN, mine)).blocked_by == []
    (row,) = (await store.find(ANN, Filter(), 1)).tasks
    assert (await store.find(ANN, Filter(), 1)).blocked_by[row.seq] == []


async def test_a_folder_is_held_from_turn_to_turn_by_whoever_is_at_work(store: Store) -> None:
    first = await created(store, folder("/a"))
    await started(store)
    await finish(store, first)
    second = await created(store, folder("/a"))
    assert await started(store) == [second]
    await store.open_turn(ANN, first, new_turn())
    assert await started(store) == []
    assert (await store.task(ANN, first)).blocked_reason == BUSY
    await finish(store, second)
    assert await started(store) == [first]


async def test_a_run_that_goes_on_is_not_kept_from_its_own_folder(store: Store) -> None:
    first = await created(store, folder("/a"))
    claim = await store.claim_run("owner")
    assert claim
    second = await created(store, folder("/a"))
    assert await started(store) == []
    await store.end_run(claim.run, Interruption())
    assert await started(store) == [first]
    assert (await store.task(ANN, second)).blocked_reason == BUSY


async def test_a_task_that_also_waits_for_others_is_blocked_for_these_first(store: Store) -> None:
    first = await created(store, None)
    second = await created(store, folder("/a"), depends_on=[first])
    third = await created(store, folder("/a"))
    assert await started(store) == [first, third]
    await finish(store, first)
    assert await started(store) == []
    assert (await store.snapshot(ANN, second)).blocked_by == [third]


async def lent(store: Store, parent: str, workspace: Workspace | None) -> str:
    """Return a sub-task that the agent of a task has made, in a folder that it shares."""
    return await created(store, workspace, parent=parent, source="agent")


async def waits(store: Store, task_id: str) -> bool:
    return (await store.task(ANN, task_id)).blocked_reason == BUSY


SHARED = folder("/a", shared=True)
ON_A_BRANCH = Workspace(mode="worktree", path="/a", shared=False, reaches=("/a/.git", "/a/.git/objects"))


@pytest.mark.parametrize("workspace", [SHARED, ON_A_BRANCH, folder("/a", "readonly")])
async def test_what_two_who_share_a_folder_lend_of_it_keeps_neither_out(store: Store, workspace: Workspace) -> None:
    parents = [await created(store, SHARED) for _ in range(2)]
    assert await started(store) == parents
    children = [await lent(store, parent, workspace) for parent in parents]
    assert await started(store) == children


@pytest.mark.parametrize("workspace", [SHARED, ON_A_BRANCH])
async def test_who_waits_for_the_lender_of_a_folder_does_not_keep_out_those_it_is_lent_to(
    store: Store, workspace: Workspace
) -> None:
    parent, alone = await created(store, SHARED), await created(store, folder("/a"))
    assert await started(store) == [parent]
    child = await lent(store, parent, workspace)
    assert await started(store) == [child]
    assert await waits(store, alone)


async def test_what_is_lent_of_a_worktree_is_not_kept_out_by_who_waits_for_its_repository(store: Store) -> None:
    parent, alone = await created(store, ON_A_BRANCH), await created(store, folder("/a"))
    assert await started(store) == [parent]
    tree = Workspace(mode="readwrite", path="/state/p", shared=False, owner="task", reaches=("/state/p", "/a/.git"))
    child = await lent(store, parent, tree)
    assert await started(store) == [child]
    assert await waits(store, alone)


async def test_what_is_lent_on_is_kept_out_by_nobody_but_those_its_own_lender_has_lent_to(store: Store) -> None:
    parents = [await created(store, SHARED) for _ in range(2)]
    assert await started(store) == parents
    child = await lent(store, parents[0], folder("/a"))
    sibling = await lent(store, parents[0], folder("/a"))
    assert await started(store) == [child]
    first, second = [await lent(store, child, folder("/a")) for _ in range(2)]
    assert await started(store) == [first]
    assert [await waits(store, each) for each in (sibling, second)] == [True, True]
    assert (await store.snapshot(ANN, second)).blocked_by == [first]


async def test_a_sub_task_with_a_folder_of_its_own_lends_on_beneath_a_lender(store: Store) -> None:
    parent, alone = await created(store, folder("/a")), await created(store, folder("/a"))
    assert await started(store) == [parent]
    child = await lent(store, parent, None)
    assert await started(store) == [child]
    own = Workspace(mode="readwrite", path="/state/c", shared=False, owner="task", reaches=("/state/c",))
    first, second = [await lent(store, child, own) for _ in range(2)]
    assert await started(store) == [first]
    assert [await waits(store, each) for each in (alone, second)] == [True, True]


async def test_a_folder_whose_lender_has_ended_is_waited_for_as_any_other(store: Store) -> None:
    parent, beside = [await created(store, SHARED) for _ in range(2)]
    alone = await created(store, folder("/a"))
    assert await started(store) == [parent, beside]
    child = await lent(store, parent, SHARED)
    await finish(store, parent)
    assert await started(store) == []
    assert (await store.snapshot(ANN, child)).blocked_by == [alone]
    await finish(store, beside)
    assert await started(store) == [alone]


async def test_what_a_task_has_borrowed_keeps_others_out_when_its_lender_has_ended(store: Store) -> None:
    parent = await created(store, SHARED)
    assert await started(store) == [parent]
    child = await lent(store, parent, SHARED)
    assert await started(store) == [child]
    await finish(store, parent)
    alone = await created(store, folder("/a"))
    assert await started(store) == []
    assert (await store.snapshot(ANN, alone)).blocked_by == [child]


async def test_what_a_worktree_reaches_beyond_the_folder_of_its_lender_others_keep_it_out_of(store: Store) -> None:
    parent, elsewhere = await created(store, folder("/a")), await created(store, folder("/b"))
    assert await started(store) == [parent, elsewhere]
    linked = Workspace(mode="worktree", path="/a", shared=False, reaches=("/b/.git", "/b/.git/objects"))
    child = await lent(store, parent, linked)
    assert await started(store) == []
    assert (await store.snapshot(ANN, child)).blocked_by == [elsewhere]
