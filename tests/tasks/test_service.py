"""The heart, without a face."""

from collections.abc import Iterable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from server.errors import Code, RemitError
from server.mcp.subtask_server import SubtaskServer
from server.runner.git.repository import find_repository
from server.runner.workspace.workspaces import Workspaces
from server.tasks.callers import Caller
from server.tasks.execution import stopping
from server.tasks.execution.scheduler import Scheduler
from server.tasks.repository_record import recorded
from server.tasks.requests.request_models import CancelTask, DeleteTask
from server.tasks.service import TaskService
from storage.errors import DatabaseError
from storage.interface import Store
from storage.records.outcomes import TurnEnd
from storage.records.states import Status
from storage.records.tasks import NestingLimits
from storage.records.workspaces import Workspace
from storage.sqlite.store import open_store
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, new_task, new_turn
from tests.tasks.services import services
from tests.tasks.workspaces.projects import repository

CALLER = Caller(ANN, person=False, folder=None)
CHILDREN = 60


class Heedless(Scheduler):
    """Does not serve: what was claimed passes for a run that does not heed a cancellation."""

    async def abandon(self, task_ids: Iterable[str]) -> None:
        """Leave all to whoever works on it."""


def tasks(store: Store, folder: Path) -> TaskService:
    """A service with a scheduler whose runs ignore a cancellation."""
    shared = services(store, Workspaces(folder))
    return TaskService(shared, Heedless(shared, SubtaskServer("1"), "owner"), [])


async def running_family(store: Store) -> str:
    parent = new_task()
    await store.create_task(ANN, parent)
    for _ in range(CHILDREN):
        await store.create_task(ANN, new_task(parent=parent.id, nesting=NestingLimits(depth=1, count=CHILDREN)))
    while await store.claim_run("owner"):
        pass
    return parent.id


async def test_all_that_has_to_stop_is_waited_for_under_one_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "CANCEL_SECONDS", 1)
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        parent = await running_family(store)
        with anyio.fail_after(CHILDREN / 2):
            view = await tasks(store, tmp_path / "workspaces").cancel(CALLER, CancelTask(id=parent))
    assert (view["status"], view["cancelRequested"]) == ("running", True)


async def test_a_deletion_waits_for_all_that_has_to_stop_under_one_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "CANCEL_SECONDS", 1)
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        parent = await running_family(store)
        with anyio.fail_after(CHILDREN / 2), pytest.raises(RemitError) as caught:
            await tasks(store, tmp_path / "workspaces").delete(CALLER, DeleteTask(id=parent))
    assert caught.value.code is Code.CONFLICT


async def test_a_deletion_that_cannot_be_written_says_that_the_task_was_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> list[str]:
        raise DatabaseError("disk I/O error", passes=True)

    async with open_store(fresh(tmp_path / "remit.db")) as store:
        new = new_task()
        await store.create_task(ANN, new)
        monkeypatch.setattr(store, "delete", fail)
        with pytest.raises(RemitError) as caught:
            await tasks(store, tmp_path / "workspaces").delete(CALLER, DeleteTask(id=new.id))
        assert (await store.task(ANN, new.id)).status is Status.CANCELLED
    assert caught.value.message == (
        "the task was ended, but cannot be deleted now: the database failed (disk I/O error); delete it again"
    )


async def test_a_deletion_waits_for_whoever_opens_the_next_turn_of_a_task_with_a_worktree(tmp_path: Path) -> None:
    found = await find_repository(repository(tmp_path / "project"))
    assert found
    workspace = Workspace(
        mode="worktree", path=found.git, shared=False, reaches=found.reaches, repository=recorded(found)
    )
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        new = new_task(workspace=workspace)
        await store.create_task(ANN, new)
        claim = await store.claim_run("owner")
        assert claim
        await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
        service = tasks(store, tmp_path / "workspaces")
        lock = service.locks(new.id)

        async def delete() -> None:
            with pytest.raises(RemitError, match="is in use"):
                await service.delete(CALLER, DeleteTask(id=new.id))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                await lock.acquire()  # as whoever opens the next turn does
                group.start_soon(delete)
                while not lock.statistics().tasks_waiting:
                    await anyio.lowlevel.checkpoint()
                await store.open_turn(ANN, new.id, new_turn())
                lock.release()
        assert (await store.task(ANN, new.id)).status is Status.PENDING
