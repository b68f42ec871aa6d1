"""Sub-tasks in the store: who goes first, who waits for whom, and what ends with its parent."""

import sqlite3
from collections.abc import Callable, Mapping

import pytest

from server.errors import Code
from storage.interface import Store
from storage.records.events import EventKind
from storage.records.lists import Filter
from storage.records.masked import MaskedText
from storage.records.outcomes import Pause, TurnEnd, Wait
from storage.records.queue import SlotDemand
from storage.records.states import BUSY, DEPENDENCIES, SUBTASKS, Status
from storage.records.tasks import Claim, Snapshot, Update
from storage.records.workspaces import Workspace
from storage.sqlite.relations import folder_locks, subtasks
from storage.sqlite.store import SqliteStore
from storage.times import now
from tests.storage.listing.test_plans import believe
from tests.storage.samples import ANN, BOB, HOUR, REPOSITORY, claimed, decision, new_call, new_task, waiting

DONE = TurnEnd(Status.COMPLETED)


async def family(store: Store, size: int, **changes: object) -> tuple[Claim, list[str]]:
    """Return a task at work, and the ids of its sub-tasks, which wait for a place."""
    parent = await claimed(store)
    children = [new_task(parent=parent.task.id, source="agent", **changes) for _ in range(size)]
    for child in children:
        await store.create_task(ANN, child)
    return parent, [child.id for child in children]


async def status(store: Store, task_id: str) -> Status:
    return (await store.task(ANN, task_id)).status


def until(ids: list[str], microseconds: int = HOUR) -> Mapping[str, int]:
    return dict.fromkeys(ids, now() + microseconds)


async def test_the_sub_tasks_of_those_that_wait_go_first_the_deepest_before_all(store: Store) -> None:
    earlier = new_task()
    upper, (child,) = await family(store, 1)
    lower = await store.claim_run("owner")
    assert lower
    assert lower.task.id == child
    grandchild, another = new_task(parent=child), new_task(parent=upper.task.id)
    for new in (earlier, another, grandchild):
        await store.create_task(ANN, new)
    seqs = [upper.run.seq, lower.run.seq]
    claims = [await store.claim_run("owner", SlotDemand(waiting=seqs)) for _ in range(3)]
    assert [claim.task.id for claim in claims if claim] == [grandchild.id, another.id, earlier.id]


async def test_none_of_a_full_parent_is_claimed(store: Store) -> None:
    parent, children = await family(store, 2)
    other = new_task()
    await store.create_task(ANN, other)
    claim = await store.claim_run("owner", SlotDemand(full=[parent.task.id], waiting=[parent.run.seq]))
    assert claim
    assert claim.task.id == other.id
    assert await store.claim_run("owner", SlotDemand(full=[parent.task.id])) is None
    assert (await store.claim_run("owner")) is not None
    assert await status(store, children[0]) is Status.RUNNING


async def test_a_task_waits_until_the_last_of_its_sub_tasks_has_ended(store: Store) -> None:
    parent, children = await family(store, 2)
    assert await store.end_run(parent.run, Wait(until(children))) is Status.BLOCKED
    snapshot = await store.snapshot(ANN, parent.task.id)
    assert (snapshot.task.blocked_reason, set(snapshot.blocked_by)) == (SUBTASKS, set(children))
    for child in children:
        assert await status(store, parent.task.id) is Status.BLOCKED
        claim = await store.claim_run("owner")
        assert claim
        assert claim.task.id == child
        await store.end_run(claim.run, DONE)
    assert await status(store, parent.task.id) is Status.PENDING


async def test_what_has_ended_is_not_waited_for(store: Store) -> None:
    parent, (child,) = await family(store, 1)
    await store.cancel(ANN, child)
    assert await store.end_run(parent.run, Wait(until([child]))) is Status.PENDING


async def test_another_principals_task_is_not_waited_for(store: Store) -> None:
    parent, _ = await family(store, 1)
    theirs = new_task()
    await store.create_task(BOB, theirs)
    assert await store.end_run(parent.run, Wait(until([theirs.id]))) is Status.PENDING


async def test_a_wait_is_over_when_its_time_has_come(store: Store) -> None:
    parent, children = await family(store, 2)
    await store.end_run(parent.run, Wait({children[0]: now() + HOUR, children[1]: now() + 100_000}))
    assert (await store.next_wake() or 0) < now() + HOUR // 2
    while not await store.wake():
        pass
    assert await status(store, parent.task.id) is Status.PENDING
    assert await store.next_wake() is None


async def test_a_wait_whose_earliest_time_has_passed_before_the_run_has_ended_is_over(store: Store) -> None:
    parent, children = await family(store, 2)
    awaited = {children[0]: now() + HOUR, children[1]: now()}
    assert await store.end_run(parent.run, Wait(awaited)) is Status.PENDING
    assert await store.next_wake() is None


async def test_the_time_of_what_has_ended_already_ends_no_wait(store: Store) -> None:
    parent, children = await family(store, 2)
    await store.cancel(ANN, children[1])
    awaited = {children[0]: now() + HOUR, children[1]: now()}
    assert await store.end_run(parent.run, Wait(awaited)) is Status.BLOCKED


async def test_a_deleted_sub_task_is_waited_for_no_more(store: Store) -> None:
    parent, (child,) = await family(store, 1)
    await store.end_run(parent.run, Wait(until([child])))
    await store.delete(ANN, child)
    assert await status(store, parent.task.id) is Status.PENDING


async def test_a_cancelled_task_waits_for_nothing(store: Store) -> None:
    parent, (child,) = await family(store, 1)
    await store.end_run(parent.run, Wait(until([child])))
    cancelled = await store.cancel(ANN, parent.task.id)
    assert (cancelled.status, await status(store, child)) == (Status.CANCELLED, Status.CANCELLED)
    assert await store.next_wake() is None


async def test_what_an_agent_has_made_is_cancelled_when_it_fails(store: Store) -> None:
    parent, children = await family(store, 2)
    by_hand = new_task(parent=parent.task.id)
    await store.create_task(ANN, by_hand)
    at_work = await store.claim_run("owner")
    assert at_work
    await store.end_run(parent.run, TurnEnd(Status.FAILED, Code.EXECUTION_ERROR, MaskedText("broken")))
    assert await store.stopping_beneath(parent.run) == [at_work.task.id] == [children[0]]
    assert await status(store, children[1]) is Status.CANCELLED
    assert await status(store, by_hand.id) is Status.PENDING


async def test_what_an_agent_has_made_goes_on_when_it_is_done(store: Store) -> None:
    parent, (child,) = await family(store, 1)
    await store.end_run(parent.run, DONE)
    assert await status(store, child) is Status.PENDING


async def test_an_approval_that_waits_below_is_known_to_all_above(store: Store) -> None:
    top, (middle,) = await family(store, 1)
    await store.claim_run("owner")
    lowest = await waiting(store, new_call(), parent=middle)
    for above in (top.task.id, middle):
        snapshot = await store.snapshot(ANN, above, events_after=0, max_events=100)
        assert snapshot.approvals_beneath == [lowest.task.id]
        told = [event.data for event in snapshot.events if event.kind == EventKind.SUBTASK]
        assert {"taskId": lowest.task.id, "status": "awaiting_approval"} in told
    (call,) = (await store.snapshot(ANN, lowest.task.id)).calls
    await store.decide_call(ANN, lowest.task.id, call.id, decision(), secrets_at_hand=True)
    assert (await store.snapshot(ANN, top.task.id)).approvals_beneath == []


async def test_only_what_is_beneath_a_task_is_beneath_it(store: Store) -> None:
    top, (child,) = await family(store, 1)
    grandchild, other = new_task(parent=child, source="agent"), new_task()
    by_hand = new_task(parent=top.task.id)
    beneath_it = new_task(parent=by_hand.id, source="agent")
    for new in (grandchild, other, by_hand, beneath_it):
        await store.create_task(ANN, new)
    known = {
        child: True,
        grandchild.id: True,
        other.id: False,
        by_hand.id: False,
        beneath_it.id: False,
        top.task.id: False,
        "nothing": False,
    }
    assert {each: await store.is_beneath(ANN, each, top.run.seq) for each in known} == known
    assert not await store.is_beneath(BOB, child, top.run.seq)


FOLDER = Workspace(mode="readwrite", path="/a", shared=False, reaches=("/a",))


async def told(store: Store, task_id: str, asker: Claim) -> Snapshot:
    """Return a task as the agent of another one sees it."""
    return await store.snapshot(ANN, task_id, events_after=0, max_events=100, asker=asker.run.seq)


async def named(store: Store, parent: str, asker: Claim | None) -> list[str]:
    """Return the tasks that the rows beneath a task name as what they wait for."""
    page = await store.find(ANN, Filter(parent=parent, asker=asker.run.seq if asker else None), 10)
    return [task_id for ids in page.blocked_by.values() for task_id in ids]


async def test_an_agent_is_not_told_which_task_of_others_keeps_its_sub_task_out(store: Store) -> None:
    top = await claimed(store)
    other = await claimed(store, workspace=FOLDER)
    child = new_task(parent=top.task.id, source="agent", workspace=FOLDER)
    await store.create_task(ANN, child)
    assert await store.claim_run("owner") is None
    snapshot = await told(store, child.id, top)
    assert (snapshot.task.blocked_reason, snapshot.blocked_by) == (BUSY, [])
    assert await named(store, top.task.id, top) == []
    assert await named(store, top.task.id, None) == [other.task.id]


async def test_an_agent_is_told_which_of_its_sub_tasks_keeps_another_out(store: Store) -> None:
    top, (child, _) = await family(store, 2, workspace=FOLDER)
    assert await store.claim_run("owner")
    assert await store.claim_run("owner") is None
    assert await named(store, top.task.id, top) == [child]


async def test_an_agent_is_told_of_no_dependency_of_its_sub_task_on_others(store: Store) -> None:
    top, (first, second) = await family(store, 2)
    other = new_task()
    await store.create_task(ANN, other)
    await store.update(ANN, second, Update(columns={}, depends_on=[other.id, first]))
    snapshot = await told(store, second, top)
    assert (snapshot.task.blocked_reason, snapshot.blocked_by, snapshot.depends_on) == (DEPENDENCIES, [first], [first])
    assert await named(store, top.task.id, top) == [first]


async def test_an_agent_hears_nothing_of_what_others_put_beneath_its_sub_task(store: Store) -> None:
    top, (child,) = await family(store, 1)
    at_work = await store.claim_run("owner")
    assert at_work
    theirs = await waiting(store, parent=child)
    its_own = await waiting(store, parent=child, source="agent")
    snapshot = await told(store, child, top)
    assert snapshot.approvals_beneath == [its_own.task.id]
    heard = {event.data["taskId"] for event in snapshot.events if event.kind == EventKind.SUBTASK}
    assert heard == {its_own.task.id}
    assert set((await store.snapshot(ANN, child)).approvals_beneath) == {theirs.task.id, its_own.task.id}


async def test_lists_show_an_agent_what_agents_have_made_and_count_nothing_else(store: Store) -> None:
    top, (child,) = await family(store, 1)
    for beneath in (new_task(parent=top.task.id), new_task(parent=top.task.id, source="mcp")):
        await store.create_task(ANN, beneath)
    page = await store.find(ANN, Filter(parent=top.task.id, asker=top.run.seq), 10)
    assert ([task.id for task in page.tasks], page.total) == ([child], 1)
    pending = Filter(parent=top.task.id, statuses=frozenset({Status.PENDING}), asker=top.run.seq)
    assert (await store.find(ANN, pending, 10)).total == 1


async def active(store: Store, *claims: Claim) -> list[bool]:
    """Return for each of these runs whether an active task is beneath it."""
    found = await store.having_active_subtasks([claim.run.seq for claim in claims])
    return [claim.run.seq in found for claim in claims]


async def test_a_sub_task_is_active_from_its_beginning_to_its_end(store: Store) -> None:
    parent, _ = await family(store, 1)
    pending = await active(store, parent)
    at_work = await store.claim_run("owner")
    assert at_work
    running = await active(store, parent)
    await store.end_run(at_work.run, DONE)
    assert (pending, running, await active(store, parent)) == ([True], [True], [False])


async def test_a_sub_task_that_waits_for_a_person_is_not_active_nor_is_what_waits_for_it(store: Store) -> None:
    top = await claimed(store)
    middle = await claimed(store, parent=top.task.id, source="agent")
    lowest = await waiting(store, new_call(), parent=middle.task.id, source="agent")
    await store.end_run(middle.run, Wait(until([lowest.task.id])))
    beside = new_task(parent=top.task.id, source="agent", depends_on=[middle.task.id])
    await store.create_task(ANN, beside)
    assert await active(store, top) == [False]
    (call,) = (await store.snapshot(ANN, lowest.task.id)).calls
    await store.decide_call(ANN, lowest.task.id, call.id, decision(), secrets_at_hand=True)
    assert await active(store, top) == [True]


async def test_a_paused_sub_task_is_not_active(store: Store) -> None:
    parent = await claimed(store)
    child = await claimed(store, parent=parent.task.id, source="agent", max_calls=1)
    (call,) = await store.announce_calls(child.run, [new_call()])
    await store.begin_call(child.run, call.id, None)
    assert await store.end_run(child.run, Pause.PAUSED) is Status.PAUSED
    assert await active(store, parent) == [False]


async def test_what_is_beneath_an_ended_sub_task_is_active(store: Store) -> None:
    top = await claimed(store)
    middle = await claimed(store, parent=top.task.id, source="agent")
    await store.create_task(ANN, new_task(parent=middle.task.id, source="agent"))
    await store.end_run(middle.run, DONE)
    assert await active(store, top) == [True]


async def test_what_a_sub_task_was_made_to_wait_for_by_a_person_is_active(store: Store) -> None:
    parent, (child,) = await family(store, 1)
    other = new_task()
    await store.create_task(ANN, other)
    await store.update(ANN, child, Update(columns={}, depends_on=[other.id]))
    assert await active(store, parent) == [True]


async def test_what_others_put_beneath_a_task_is_not_active_for_its_agent(store: Store) -> None:
    parent = await claimed(store)
    await store.create_task(ANN, new_task(parent=parent.task.id))
    assert await active(store, parent) == [False]


def steps(db: sqlite3.Connection, look: Callable[[sqlite3.Connection], object]) -> int:
    """Return the number of steps that SQLite takes for it."""
    taken = 0

    def step() -> None:
        nonlocal taken
        taken += 1

    db.set_progress_handler(step, 1)
    try:
        look(db)
    finally:
        db.set_progress_handler(None, 0)
    return taken


@pytest.mark.parametrize("look", [folder_locks.worktrees, lambda db: subtasks.having_active(db, {1})])
async def test_sub_tasks_that_have_ended_are_not_gone_through(
    store: SqliteStore, look: Callable[[sqlite3.Connection], object]
) -> None:
    tree = Workspace(mode="worktree", path="/r", shared=False, reaches=("/r",), repository=REPOSITORY)
    parent = await claimed(store, workspace=tree)
    assert parent.run.seq == 1
    taken = []
    for _ in range(2):
        for _ in range(20):
            ended = await claimed(store, parent=parent.task.id, source="agent")
            await store.end_run(ended.run, DONE)
        taken.append(await store._db.read(steps, look))
    assert taken[0] == taken[1]


async def test_no_filter_is_made_of_all_tasks_to_find_those_that_are_active(store: SqliteStore) -> None:
    def plan(db: sqlite3.Connection) -> list[str]:
        believe(db, ["tasks"], 1_000_000)
        return [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {subtasks._ACTIVE}", ("[1]",))]

    assert not [step for step in await store._db.write(plan) if "BLOOM" in step]
