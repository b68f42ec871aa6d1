"""The scheduler outlives whatever becomes of a single run."""

from pathlib import Path

import anyio
import pytest

from server.config import Settings
from server.errors import Code, RemitError
from server.protocol.desk import Desk
from server.runner.sandbox import Sandbox
from server.runner.workspace import Workspaces
from server.tasks.folders import Folders
from server.tasks.scheduler import Scheduler
from server.tasks.secrets import Secrets
from server.tasks.worktrees import Worktrees
from storage.records import Run, RunEnd
from storage.states import ENDED, Status
from storage.store import Store, open_store
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, new_task


async def no_sandbox() -> Sandbox:
    raise RemitError(Code.SANDBOX_UNAVAILABLE, "there is none in this test")


async def test_a_run_whose_end_cannot_be_written_does_not_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        bad, good = new_task(), new_task()
        finish = store.finish_run

        async def finish_or_break(run: Run, end: RunEnd, ran_us: int = 0) -> Status:
            if run.task_id == bad.id:
                raise ArithmeticError("a mistake of ours")
            return await finish(run, end, ran_us)

        monkeypatch.setattr(store, "finish_run", finish_or_break)
        workspaces, settings = Workspaces(tmp_path / "workspaces"), Settings(max_running=1)
        worktrees = Worktrees(store, no_sandbox, workspaces, settings)
        folders, desk = Folders((), ()), Desk("1")
        scheduler = Scheduler(
            store, {}, Secrets({}), no_sandbox, workspaces, worktrees, folders, settings, "owner", desk
        )
        async with anyio.create_task_group() as group:
            group.start_soon(scheduler.serve)
            for new in (bad, good):
                await store.create_task(ANN, new)
                scheduler.poke()
            await ended(store, good.id)
            group.cancel_scope.cancel()
        assert (await store.task(ANN, bad.id)).status is Status.RUNNING


async def ended(store: Store, task_id: str) -> None:
    with anyio.fail_after(30):
        while True:
            with store.changes.expected(task_id) as change:
                if (await store.task(ANN, task_id)).status in ENDED:
                    return
                await change.wait()
