"""The heart, without a face."""

from pathlib import Path

import anyio
import pytest

from server.config import Settings
from server.errors import Code, RemitError
from server.protocol.desk import Desk
from server.runner.workspace import Workspaces
from server.tasks import service
from server.tasks.callers import Caller
from server.tasks.folders import Folders
from server.tasks.requests import CancelTask, DeleteTask
from server.tasks.scheduler import Scheduler
from server.tasks.secrets import Secrets
from server.tasks.service import Tasks
from server.tasks.worktrees import Worktrees
from storage.records import Nesting
from storage.store import Store, open_store
from tests.storage.samples import ANN, new_task
from tests.tasks.test_scheduler import no_sandbox

CALLER = Caller(ANN, person=False, folder=None)
CHILDREN = 60


def tasks(store: Store, folder: Path) -> Tasks:
    """With a scheduler that does not serve: what runs does not heed a cancellation."""
    secrets, workspaces, settings = Secrets({}), Workspaces(folder), Settings()
    worktrees, folders = Worktrees(store, no_sandbox, workspaces, settings), Folders((), ())
    scheduler = Scheduler(store, {}, secrets, no_sandbox, workspaces, worktrees, settings, "owner", Desk("1"))
    return Tasks(store, {}, secrets, no_sandbox, workspaces, worktrees, folders, scheduler, settings, [])


async def running_family(store: Store) -> str:
    parent = new_task()
    await store.create_task(ANN, parent)
    for _ in range(CHILDREN):
        await store.create_task(ANN, new_task(parent=parent.id, nesting=Nesting(depth=1, count=CHILDREN)))
    while await store.claim_run("owner"):
        pass
    return parent.id


async def test_all_that_has_to_stop_is_waited_for_under_one_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CANCEL_SECONDS", 1)
    async with open_store(tmp_path / "remit.db") as store:
        parent = await running_family(store)
        with anyio.fail_after(CHILDREN / 2):
            view = await tasks(store, tmp_path / "workspaces").cancel(CALLER, CancelTask(id=parent))
    assert (view["status"], view["cancelRequested"]) == ("running", True)


async def test_a_deletion_waits_for_all_that_has_to_stop_under_one_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CANCEL_SECONDS", 1)
    async with open_store(tmp_path / "remit.db") as store:
        parent = await running_family(store)
        with anyio.fail_after(CHILDREN / 2), pytest.raises(RemitError) as caught:
            await tasks(store, tmp_path / "workspaces").delete(CALLER, DeleteTask(id=parent))
    assert caught.value.code is Code.CONFLICT
