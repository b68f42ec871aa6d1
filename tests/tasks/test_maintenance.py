"""Sweeps beside everything else the server does."""

import errno
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from server.config import RetentionSettings, Settings
from server.runner.workspace.workspaces import Workspaces
from server.tasks import maintenance
from server.tasks.maintenance import Maintenance, periods
from server.tasks.workspaces.removal import remove_folders
from server.tasks.workspaces.worktrees import Worktrees
from storage.interface import Store
from storage.records.lists import Filter
from storage.records.outcomes import TurnEnd
from storage.records.retention import Retention
from storage.records.states import Status
from storage.sqlite.operations import retention
from storage.sqlite.store import SqliteStore, open_store
from storage.times import now
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, HOUR, claimed, new_task, new_turn
from tests.tasks.services import no_sandbox

AT_ONCE = periods(RetentionSettings(tasks="forever", events="forever", workspaces=3600))
GONE = periods(RetentionSettings(tasks=3600, events="forever", workspaces="forever"))

KEPT = periods(RetentionSettings(tasks="forever", events="forever", workspaces="forever"))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        yield store


@pytest.fixture
def workspaces(tmp_path: Path) -> Workspaces:
    return Workspaces(tmp_path / "workspaces")


def sweeping(
    store: Store, workspaces: Workspaces, following: Callable[[str], anyio.Lock], kept: Retention
) -> Maintenance:
    worktrees = Worktrees(store, no_sandbox, workspaces, Settings())
    return Maintenance(store, workspaces, worktrees, following, kept)


async def ended(store: Store, workspaces: Workspaces) -> str:
    claim = await claimed(store)
    workspaces.ensure(claim.task.id)
    await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    return claim.task.id


def test_the_settings_are_what_is_shown_and_done() -> None:
    assert (AT_ONCE.tasks, AT_ONCE.logs, AT_ONCE.workspaces) == (None, None, HOUR)


async def test_the_folder_of_a_task_that_goes_on_meanwhile_stays(store: Store, workspaces: Workspaces) -> None:
    task_id = await ended(store, workspaces)
    lock = anyio.Lock()
    asked = anyio.Event()

    def following(_: str) -> anyio.Lock:
        asked.set()
        return lock

    sweeper = sweeping(store, workspaces, following, AT_ONCE)
    async with anyio.create_task_group() as group:
        await lock.acquire()  # as whoever opens the next turn does
        group.start_soon(sweeper.sweep, now() + HOUR)
        await asked.wait()
        await store.open_turn(ANN, task_id, new_turn())
        lock.release()
    assert workspaces.names() == {task_id}
    assert (await store.task(ANN, task_id)).workspace_removed_at is None


async def test_what_was_set_aside_goes_when_folders_do(store: Store, workspaces: Workspaces) -> None:
    workspaces.ensure("lost")
    workspaces.sweep([], [], datetime.now(UTC))
    sweeper = sweeping(store, workspaces, lambda _: anyio.Lock(), AT_ONCE)
    await sweeper.sweep(now())
    assert workspaces.lost.names() == ["lost"]
    await sweeper.sweep(now() + HOUR)
    assert workspaces.lost.names() == []


async def test_others_are_served_while_many_tasks_are_removed(
    store: Store, workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK_SECONDS", 0)
    for _ in range(10):
        await ended(store, workspaces)
    begun = anyio.Event()
    store.changes.on_end(lambda _: begun.set())
    async with anyio.create_task_group() as group:
        group.start_soon(sweeping(store, workspaces, lambda _: anyio.Lock(), GONE).sweep, now() + HOUR)
        await begun.wait()
        await store.create_task(ANN, new_task())
        done = Filter(statuses=frozenset({Status.COMPLETED}))
        assert (await store.find(ANN, done, 1)).total > 0
    assert (await store.find(ANN, done, 1)).total == 0
    assert workspaces.names() == set()


async def test_a_sweep_that_fails_is_told_of_and_the_next_one_does_its_work(
    store: SqliteStore, workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(maintenance, "FIRST_LOOK", 0)
    monkeypatch.setattr(maintenance, "INTERVAL", 0)
    monkeypatch.setattr(maintenance, "now", lambda: now() + HOUR)
    task_id = await ended(store, workspaces)
    await store._db.write(lambda db: db.execute("ALTER TABLE tasks RENAME COLUMN completed_at TO elsewhere"))
    with anyio.fail_after(30), caplog.at_level(logging.ERROR):
        async with anyio.create_task_group() as group:
            group.start_soon(sweeping(store, workspaces, lambda _: anyio.Lock(), GONE).serve)
            while not caplog.records:
                await anyio.lowlevel.checkpoint()
            await store._db.write(lambda db: db.execute("ALTER TABLE tasks RENAME COLUMN elsewhere TO completed_at"))
            with store.changes.expected(task_id) as gone:
                if (await store.find(ANN, Filter(), 1)).total:
                    await gone.wait()
            group.cancel_scope.cancel()
    assert "cannot be removed now: the database failed" in caplog.text


async def test_a_folder_that_could_not_be_removed_is_removed_by_a_later_sweep(
    store: Store, workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = await ended(store, workspaces)
    deleted = await store.delete(ANN, task_id)
    with monkeypatch.context() as failing:
        failing.setattr(workspaces, "remove", _fail)
        await remove_folders(store, workspaces, deleted)
    assert workspaces.has(task_id)
    await sweeping(store, workspaces, lambda _: anyio.Lock(), KEPT).sweep(now())
    assert not workspaces.has(task_id)
    assert await store.maintenance.given_up_folders() == set()


async def test_a_folder_that_could_not_be_removed_stays_once_a_turn_has_begun_in_it(
    store: Store, workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = await ended(store, workspaces)
    with monkeypatch.context() as failing:
        failing.setattr(workspaces, "remove", _fail)
        await sweeping(store, workspaces, lambda _: anyio.Lock(), AT_ONCE).sweep(now() + 2 * HOUR)
    assert await store.maintenance.given_up_folders() == {task_id}
    await store.open_turn(ANN, task_id, new_turn())
    await sweeping(store, workspaces, lambda _: anyio.Lock(), KEPT).sweep(now())
    assert workspaces.has(task_id)


def _fail(task_id: str) -> None:
    raise OSError(errno.EIO, "Input/output error", task_id)


async def test_a_file_that_cannot_be_removed_ends_no_server(
    store: Store, workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked = anyio.Event()
    failures = iter([OSError(errno.EIO, "Input/output error", "lost")])

    def remove(_: datetime) -> None:
        for failure in failures:
            raise failure
        anyio.from_thread.run_sync(looked.set)

    monkeypatch.setattr(workspaces.lost, "remove", remove)
    monkeypatch.setattr(maintenance, "FIRST_LOOK", 0)
    monkeypatch.setattr(maintenance, "INTERVAL", 0)
    sweeper = sweeping(store, workspaces, lambda _: anyio.Lock(), AT_ONCE)
    async with anyio.create_task_group() as group:
        group.start_soon(sweeper.serve)
        with anyio.fail_after(10):
            await looked.wait()
        group.cancel_scope.cancel()
    assert "cannot be removed now: [Errno 5] Input/output error: 'lost'" in caplog.text
