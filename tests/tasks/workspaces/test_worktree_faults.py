"""Worktrees where something goes wrong beside them."""

import errno
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from server.config import Settings
from server.errors import Code, RemitError
from server.runner.git.repository import branch_of, find_repository
from server.runner.sandbox import Sandbox
from server.runner.workspace.workspaces import Workspaces
from server.runner.worktrees.branch import Branch
from server.runner.worktrees.script import ScriptFailed
from server.runner.worktrees.worktree import Worktree, WorktreeReport
from server.tasks.repository_record import recorded
from server.tasks.secrets.variables import Variables
from server.tasks.secrets.vault import SecretVault
from server.tasks.workspaces.worktrees import Worktrees
from storage.interface import Store
from storage.records.outcomes import TurnEnd
from storage.records.states import Status
from storage.records.tasks import Claim
from storage.records.workspaces import Workspace
from storage.sqlite.store import open_store
from tests.runner.commands import sandbox_of
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, new_task
from tests.tasks.services import no_sandbox
from tests.tasks.workspaces.projects import git, repository, tip


class Stuck(Workspaces):
    def remove(self, task_id: str) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy", "a file of the task's")


async def unused() -> Sandbox:
    return cast("Sandbox", None)


class Killed(BaseException):
    """A stand-in for the death of the server."""


async def started(store: Store, project: Path, **task: Any) -> Claim:
    """Return a task at work that is to have a worktree of a new repository."""
    found = await find_repository(repository(project))
    assert found
    workspace = Workspace(
        mode="worktree", path=found.git, shared=False, reaches=found.reaches, repository=recorded(found)
    )
    await store.create_task(ANN, new_task(workspace=workspace, **task))
    claim = await store.claim_run("owner")
    assert claim
    return claim


def in_namespaces(store: Store, folder: Path) -> Worktrees:
    return Worktrees(store, partial(sandbox_of, "namespaces"), Workspaces(folder / "workspaces"), Settings())


async def test_one_that_cannot_be_removed_stays_on_record_and_the_error_says_why(tmp_path: Path) -> None:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        claim = await started(store, tmp_path / "project")
        await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
        worktrees = Worktrees(store, no_sandbox, Stuck(tmp_path / "workspaces"), Settings())
        with pytest.raises(RemitError, match=r"busy$") as caught:
            await worktrees.discard(claim.task.id, force=True)
        assert (caught.value.code, caught.value.details) == (Code.EXECUTION_ERROR, {"id": claim.task.id})
        assert [record.task_id for record in await store.worktrees()] == [claim.task.id]


async def test_what_git_says_of_a_branch_that_is_left_is_not_logged_where_it_may_hold_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Branch) -> None:
        raise ScriptFailed("the branch cannot be removed", "hidden-value")

    monkeypatch.setattr(Branch, "drop", fail)
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        claim = await started(store, tmp_path / "project", secrets={"S": "literal"})
        await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
        await Worktrees(store, unused, Workspaces(tmp_path / "workspaces"), Settings()).discard(
            claim.task.id, force=True
        )
    assert f"the branch {branch_of(claim.task.id)} is left: the branch cannot be removed" in caplog.messages


@pytest.mark.namespaces
async def test_commits_follow_those_whose_carrying_a_kill_kept_from_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        claim = await started(store, tmp_path / "project")
        worktrees = in_namespaces(store, tmp_path)
        move = Branch.move

        async def moved_and_killed(self: Branch, commit: str, known: str) -> None:
            await move(self, commit, known)
            raise Killed

        async def commit() -> None:
            async with worktrees.at_work(claim, Variables(claim, SecretVault({}), store)):
                git(worktrees.folder(claim.task.id), "commit", "-q", "--allow-empty", "-m", "more")

        monkeypatch.setattr(Branch, "move", moved_and_killed)
        with pytest.raises(Killed):
            await commit()
        monkeypatch.setattr(Branch, "move", move)
        await commit()
        (record,) = await store.worktrees()
        branch = branch_of(claim.task.id)
        assert record.workspace.checkout == "clean"
        assert git(tmp_path / "project", "log", "--format=%s", branch) == "more\nmore\nfirst\n"


@pytest.mark.namespaces
async def test_a_secret_that_another_gets_while_a_worktree_is_looked_at_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        claim = await started(store, tmp_path / "project")
        worktrees = in_namespaces(store, tmp_path)
        vault, look = SecretVault({}), Worktree.look

        async def look_when_a_borrower_has_written(self: Worktree) -> WorktreeReport:
            lent = Workspace(mode="readwrite", path=str(self.tree), shared=False, owner="task", reaches=())
            new = new_task(parent=claim.task.id, source="agent", workspace=lent, secrets={"KEY": "literal"})
            await vault.keep(new.id, 1, {"KEY": "very-secret-value"}, new.secrets)
            await store.create_task(ANN, new)
            (self.tree / "a.txt").write_text("very-secret-value\n")
            return await look(self)

        monkeypatch.setattr(Worktree, "look", look_when_a_borrower_has_written)
        async with worktrees.at_work(claim, Variables(claim, vault, store)):
            pass
        (record,) = await store.worktrees()
    assert record.workspace.outcome
    assert "+[secret KEY]\n" in record.workspace.outcome["diff"]


async def ask_and_give_up(worktrees: Worktrees, store: Store, claim: Claim, begun: anyio.Event) -> None:
    """Ask for what a task has committed, and give up when that has begun."""
    async with anyio.create_task_group() as group:
        group.start_soon(worktrees.carried, claim.task.id, Variables(claim, SecretVault({}), store))
        await begun.wait()
        group.cancel_scope.cancel()


@pytest.mark.namespaces
async def test_what_was_carried_over_is_on_record_though_whoever_asked_has_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        claim = await started(store, tmp_path / "project")
        worktrees = in_namespaces(store, tmp_path)
        begun, move = anyio.Event(), Branch.move

        async def begin_and_move(self: Branch, commit: str, known: str) -> None:
            begun.set()
            await anyio.lowlevel.checkpoint()
            await move(self, commit, known)

        async with worktrees.at_work(claim, Variables(claim, SecretVault({}), store)):
            git(worktrees.folder(claim.task.id), "commit", "-q", "--allow-empty", "-m", "more")
            monkeypatch.setattr(Branch, "move", begin_and_move)
            await ask_and_give_up(worktrees, store, claim, begun)
            (kept,) = await store.worktrees(claim.task.id)
        carried = tip(tmp_path / "project", branch_of(claim.task.id))
    assert carried != tip(tmp_path / "project", "main")
    assert (kept.workspace.outcome or {})["carried"] == carried


async def test_whoever_asks_what_is_committed_and_gives_up_waits_for_no_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        claim = await started(store, tmp_path / "project")
        worktrees = Worktrees(store, unused, Workspaces(tmp_path / "workspaces"), Settings())
        worktrees.folder(claim.task.id).mkdir(parents=True)
        begun, may_end, over = anyio.Event(), anyio.Event(), anyio.Event()

        async def look(_: Worktree) -> WorktreeReport:
            begun.set()
            await may_end.wait()
            raise RemitError(Code.EXECUTION_ERROR, "nobody waits for it")

        async def ask() -> None:
            await ask_and_give_up(worktrees, store, claim, begun)
            over.set()

        monkeypatch.setattr(Worktree, "look", look)
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await begun.wait()
            await anyio.wait_all_tasks_blocked()
            may_end.set()
        assert over.is_set()


async def test_what_a_look_finds_of_one_that_is_gone_does_not_bring_it_back(tmp_path: Path) -> None:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        claim = await started(store, tmp_path / "project")
        await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
        await store.give_up_worktree(claim.task.id)
        await store.record_worktree(claim.task.id, "dirty", {})
        assert await store.worktrees() == []


@pytest.mark.namespaces
async def test_one_that_is_looked_at_is_removed_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        claim = await started(store, tmp_path / "project")
        task_id = claim.task.id
        worktrees = in_namespaces(store, tmp_path)
        async with worktrees.at_work(claim, Variables(claim, SecretVault({}), store)):
            pass
        await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
        await store.reopen_worktree(task_id)
        looking, go, removed, look = anyio.Event(), anyio.Event(), anyio.Event(), Worktree.look

        async def wait_and_look(self: Worktree) -> WorktreeReport:
            looking.set()
            await go.wait()
            return await look(self)

        async def discard() -> None:
            await worktrees.discard(task_id, force=True)
            removed.set()

        monkeypatch.setattr(Worktree, "look", wait_and_look)
        async with anyio.create_task_group() as group:
            group.start_soon(worktrees.conclude_ended)
            await looking.wait()
            group.start_soon(discard)
            while not (removed.is_set() or worktrees._lock(task_id).statistics().tasks_waiting):
                await anyio.lowlevel.checkpoint()
            assert not removed.is_set()
            go.set()
        assert (await store.worktrees(), worktrees.folder(task_id).exists()) == ([], False)
