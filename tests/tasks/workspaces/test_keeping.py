"""Worktrees are listed until they are removed, and removed only where nothing is lost."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.runner.workspace.workspaces import OWNER
from tests import servers
from tests.cli.command_line import CommandLine
from tests.servers import Host, script
from tests.tasks.workspaces.projects import branches, contents, git, names, shell, tip

COMMIT = "echo more >> a.txt && git commit -qam 'by the task'"
DISPOSALS = (
    "git branch -m {branch} feature",
    "git update-ref refs/heads/merged $(git commit-tree -p main -p {branch} -m merged main:) && git branch -D {branch}",
    "git update-ref refs/heads/{branch} $(git commit-tree -p {branch} -m 'on top' {branch}:)",
    "git worktree add -q ../review {branch}",
)
"""What a person may do with the branch of a task."""

DAY_US = 24 * 3600 * 1_000_000


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder that the tests of this file share: they list their own worktrees alone, which are few."""
    with servers.home(tmp_path_factory.mktemp("shared")) as home:
        yield home


@pytest.fixture
def remit(shared_home: Path, place: Path) -> CommandLine:
    return CommandLine(shared_home, place)


@pytest.fixture
def own_remit(own_home: Path, place: Path) -> CommandLine:
    return CommandLine(own_home, place)


async def command(remit: CommandLine, *arguments: str) -> str:
    """Return what a command says on both streams; it must succeed."""
    done = await anyio.to_thread.run_sync(remit, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


async def refusal(remit: CommandLine, task: dict[str, Any]) -> str:
    """Why the worktree of a task is not removed where something of it would be lost."""
    done = await anyio.to_thread.run_sync(remit, "worktrees", "prune", task["id"])
    assert done.returncode == 1
    return done.stderr


async def listed(remit: CommandLine) -> dict[str, dict[str, Any]]:
    """Return what `remit worktrees` lists, by task."""
    answer = await anyio.to_thread.run_sync(remit.json, "worktrees")
    return {worktree["taskId"]: worktree for worktree in answer["worktrees"]}


async def work(host: Host, lines: str) -> dict[str, Any]:
    return await host.done(script(lines), workspace={"path": "project"})


def is_there(task: dict[str, Any]) -> bool:
    return Path(task["workspace"]["folder"]).exists()


async def test_all_that_are_there_are_listed(
    own_home: Path, own_remit: CommandLine, project: Path, variables: Any
) -> None:
    async with servers.host(own_home, cwd=project.parent, **variables) as host:
        clean, dirty = await work(host, COMMIT), await work(host, "echo x > x")
        open_one, call = await host.waiting("$ true", workspace={"path": "project"})
        found = await listed(own_remit)
        assert {task_id: each["state"] for task_id, each in found.items()} == {
            clean["id"]: "clean",
            dirty["id"]: "dirty",
            open_one: "clean",
        }
        assert found[dirty["id"]]["changedFiles"] == [["x", "untracked"]]
        assert found[clean["id"]]["path"] == clean["workspace"]["folder"]
        assert f"remit/{clean['id']} in {project}/.git" in await command(own_remit, "worktrees")
        await host.decide(open_one, call, "cancel")


async def test_pruning_removes_what_is_in_the_branch_and_keeps_the_rest(
    own_home: Path, own_remit: CommandLine, project: Path, variables: Any
) -> None:
    async with servers.host(own_home, cwd=project.parent, **variables) as host:
        committed, idle, dirty = await work(host, COMMIT), await work(host, "true"), await work(host, "echo x > x")
        said = await command(own_remit, "worktrees", "prune")
        assert f"the worktree of task {dirty['id']} would be lost: it has uncommitted changes" in said
        assert set(await listed(own_remit)) == {dirty["id"]}
        assert set(branches(project)) == {committed["workspace"]["branch"], dirty["workspace"]["branch"]}
        assert [is_there(task) for task in (committed, idle, dirty)] == [False, False, True]


@pytest.mark.parametrize("disposal", DISPOSALS)
async def test_commits_that_were_carried_are_the_persons_to_keep_whatever_becomes_of_the_branch(
    host: Host, remit: CommandLine, project: Path, disposal: str
) -> None:
    task = await work(host, COMMIT)
    shell(project, disposal.format(branch=task["workspace"]["branch"]))
    refs, packs = git(project, "show-ref"), names(project / ".git" / "objects" / "pack")
    assert f"removed {task['id']}" in await command(remit, "worktrees", "prune", task["id"])
    assert (git(project, "show-ref"), names(project / ".git" / "objects" / "pack")) == (refs, packs)
    git(project, "fsck", "--strict")


async def test_a_task_that_takes_a_commit_back_leaves_the_repository_whole(host: Host, project: Path) -> None:
    task = await work(host, COMMIT)
    branch = task["workspace"]["branch"]
    for message in ("$ git commit -q --allow-empty -m second", "$ git reset -q --hard HEAD~1"):
        await host.call("send_message", id=task["id"], message=message)
        await host.until(task["id"], "completed")
    assert git(project, "log", "--format=%s", branch) == "by the task\nfirst\n"
    git(project, "fsck", "--strict")


async def test_a_task_whose_branch_was_renamed_goes_on_from_its_commits(
    host: Host, remit: CommandLine, project: Path
) -> None:
    task = await work(host, COMMIT)
    git(project, "branch", "-m", task["workspace"]["branch"], "feature")
    await command(remit, "worktrees", "prune", task["id"])
    await host.call("send_message", id=task["id"], message="$ git commit -q --allow-empty -m second")
    task = await host.until(task["id"], "completed")
    assert git(project, "log", "--format=%s", task["workspace"]["branch"]) == "second\nby the task\nfirst\n"
    assert git(project, "log", "--format=%s", "feature") == "by the task\nfirst\n"


@pytest.mark.parametrize(
    "hiding",
    [
        "git stash -q",
        "git checkout -qb aside; git commit -qam aside; git checkout -q -",
        "git worktree add -q --detach side; git -C side commit -q --allow-empty -m x; echo side >> .git/info/exclude; "
        "git checkout -q .",
    ],
)
async def test_what_lies_in_a_stash_or_on_another_branch_is_not_removed(
    host: Host, remit: CommandLine, project: Path, hiding: str
) -> None:
    task = await work(host, f"echo more >> a.txt; {hiding}")
    assert task["workspace"]["dirty"] is False
    assert "on other branches or in a stash" in await refusal(remit, task)
    assert is_there(task)


@pytest.mark.parametrize(
    "adding", ["git add .", "git -c protocol.file.allow=always submodule add -q $PWD/tool part && rm -rf tool"]
)
async def test_a_repository_within_that_has_commits_of_its_own_is_not_removed(
    host: Host, remit: CommandLine, project: Path, adding: str
) -> None:
    made = "git init -q tool && git -C tool -c user.name=x -c user.email=x@y.invalid commit -q --allow-empty -m mine"
    task = await work(host, f"{made}; {adding}; git commit -qam all")
    assert "it has a repository within" in await refusal(remit, task)
    assert is_there(task)


async def test_a_submodule_that_is_worked_in_is_not_removed(host: Host, remit: CommandLine, project: Path) -> None:
    git(project, "update-index", "--add", "--cacheinfo", f"160000,{tip(project, 'main')},part")
    git(project, "commit", "-qm", "with a submodule")
    task = await work(host, "git clone -q . part; git -C part checkout -q HEAD~1; echo x > part/new")
    assert "it has a repository within" in await refusal(remit, task)
    assert is_there(task)


async def test_what_was_fetched_from_elsewhere_does_not_keep_a_worktree(
    host: Host, remit: CommandLine, project: Path
) -> None:
    commit = "$(git commit-tree -m theirs HEAD^{tree})"
    task = await work(host, f"git update-ref refs/remotes/origin/main {commit}")
    assert f"removed {task['id']}" in await command(remit, "worktrees", "prune", task["id"])


async def test_what_would_be_lost_is_removed_by_name_and_force_and_said_before(
    host: Host, remit: CommandLine, project: Path
) -> None:
    dirty = await work(host, "echo x > x")
    unnamed = await anyio.to_thread.run_sync(remit, "worktrees", "prune", "--force")
    assert "ids: is required with force" in unnamed.stderr
    assert "untracked x" in await command(remit, "worktrees", "prune", "--force", dirty["id"])
    assert dirty["id"] not in await listed(remit)
    assert branches(project) == []


async def test_a_task_is_shown_with_the_number_of_changed_files_that_are_not_listed(
    host: Host, remit: CommandLine, project: Path
) -> None:
    dirty = await work(host, "touch $(seq 300)")
    shown = await command(remit, "show", dirty["id"])
    assert (shown.count("  untracked "), "  …           100 more changed files\n" in shown) == (200, True)


async def test_what_would_be_lost_is_counted_with_the_files_that_no_list_holds(
    host: Host, remit: CommandLine, project: Path
) -> None:
    dirty = await work(host, "touch $(seq 300)")
    said = await command(remit, "worktrees", "prune", "--force", dirty["id"])
    assert (said.count("remit: untracked "), "… and 280 more\n" in said) == (20, True)


async def test_one_that_is_in_use_is_not_removed(host: Host, remit: CommandLine, project: Path) -> None:
    task_id, _ = await host.waiting("$ true", workspace={"path": "project"})
    done = await anyio.to_thread.run_sync(remit, "worktrees", "prune", "--force", task_id)
    assert (done.returncode, "in use" in done.stderr) == (1, True)
    await host.call("cancel_task", id=task_id)


async def test_a_task_whose_worktree_was_removed_goes_on_from_its_branch(
    host: Host, remit: CommandLine, project: Path
) -> None:
    task = await work(host, COMMIT)
    await command(remit, "worktrees", "prune", task["id"])
    await host.call("send_message", id=task["id"], message="$ git commit -q --allow-empty -m second")
    task = await host.until(task["id"], "completed")
    assert git(project, "log", "--format=%s", task["workspace"]["branch"]) == "second\nby the task\nfirst\n"


async def test_what_git_says_is_not_kept_once_it_cannot_be_masked(
    host: Host, remit: CommandLine, project: Path
) -> None:
    message, secrets = f'$ {COMMIT}; git config pack.threads "$TOKEN"', {"TOKEN": "very-secret-value"}
    task = await host.done(message, workspace={"path": "project"}, secrets=secrets, allowHooks=True)
    assert "[secret TOKEN]" in task["workspace"]["problem"]
    said = await refusal(remit, task)
    assert "could not be packed" in said
    assert "very-secret-value" not in said + str((await listed(remit))[task["id"]])


async def test_a_task_is_not_deleted_while_its_worktree_would_be_lost(host: Host, project: Path) -> None:
    clean, dirty = await work(host, "true"), await work(host, "echo x > x")
    error = await host.fail("delete_task", id=dirty["id"])
    assert (error["code"], error["id"]) == ("CONFLICT", dirty["id"])
    assert (await host.call("get_task", id=dirty["id"]))["status"] == "completed"
    await host.call("delete_task", id=clean["id"])
    assert branches(project) == [dirty["workspace"]["branch"]]
    assert not is_there(clean)


async def test_what_was_changed_after_the_end_counts_as_well(host: Host, project: Path) -> None:
    task = await work(host, "true")
    await anyio.Path(task["workspace"]["folder"], "mine").write_text("a person's")
    assert (await host.fail("delete_task", id=task["id"]))["code"] == "CONFLICT"


async def test_retention_removes_only_what_is_not_lost(
    own_home: Path, own_remit: CommandLine, project: Path, variables: Any
) -> None:
    async with servers.host(own_home, cwd=project.parent, **variables) as host:
        committed, dirty = await work(host, COMMIT), await work(host, "echo x > x")
        servers.kill(own_home)
    with closing(sqlite3.connect(own_home / "remit.db", isolation_level=None)) as db:
        db.execute("UPDATE tasks SET completed_at = completed_at - ?", (40 * DAY_US,))
    async with servers.host(own_home, cwd=project.parent, **variables) as host:
        with anyio.fail_after(servers.PATIENCE):
            while not (await host.client.call_tool("get_task", {"id": committed["id"]})).is_error:
                pass
        assert set(await listed(own_remit)) == {dirty["id"]}
        assert is_there(dirty)
        assert committed["workspace"]["branch"] in branches(project)


async def test_a_clock_that_was_set_back_costs_no_uncommitted_work(
    own_home: Path, own_remit: CommandLine, project: Path, variables: Any
) -> None:
    async with servers.host(own_home, cwd=project.parent, **variables) as host:
        task = await work(host, COMMIT)
        await command(own_remit, "worktrees", "prune")
        await host.call("send_message", id=task["id"], message="$ echo x > x")
        task = await host.until(task["id"], "completed")
        servers.kill(own_home)
    with closing(sqlite3.connect(own_home / "remit.db", isolation_level=None)) as db:
        db.execute("UPDATE tasks SET workspace_removed_at = completed_at + 1")
    async with servers.host(own_home, cwd=project.parent, **variables):
        assert await anyio.Path(task["workspace"]["folder"], "x").read_text() == "x\n"


@pytest.mark.parametrize("moment", ["created", "at work", "ended"])
async def test_a_killed_server_leaves_nothing_that_is_not_listed(
    own_home: Path, own_remit: CommandLine, project: Path, variables: Any, moment: str
) -> None:
    before = contents(project)
    async with servers.host(own_home, cwd=project.parent, **variables) as host:
        command = f"{COMMIT}; echo committed; sleep 60" if moment == "at work" else COMMIT
        tasks = [await host.create(script(command), workspace={"path": "project"}) for _ in range(5)]
        if moment == "at work":
            await host.said(tasks[0], "committed\n")
        if moment == "ended":
            await host.until(tasks[0], "completed")
        servers.kill(own_home)
    async with servers.host(own_home, cwd=project.parent, **variables) as host:
        found = await listed(own_remit)
        assert {each["branch"] for each in found.values()} >= set(branches(project))
        assert names(own_home / "workspaces", "[!.]*") <= {*found}
        for task_id in tasks:
            await host.call("cancel_task", id=task_id)
        packs = project / ".git" / "objects" / "pack"
        with anyio.fail_after(servers.PATIENCE):  # commits of what was cut off are carried over meanwhile
            while names(own_home / "workspaces") - {*tasks, OWNER} or names(packs, "tmp_*"):
                await host.call("list_tasks")
        assert contents(project) == before


async def test_the_commits_of_a_task_whose_server_was_killed_are_carried_over_by_the_next(
    killed_home: Path, project: Path, variables: Any
) -> None:
    async with servers.host(killed_home, cwd=project.parent, **variables) as host:
        task_id = await host.create(f"$ {COMMIT}; echo committed; sleep 60", workspace={"path": "project"})
        await host.said(task_id, "committed\n")
        servers.kill(killed_home)
    async with servers.host(killed_home, cwd=project.parent, **variables) as host:
        with anyio.fail_after(servers.PATIENCE):
            while "headCommit" not in (task := await host.call("get_task", id=task_id))["workspace"]:
                pass
        assert (task["status"], task["errorCode"]) == ("failed", "INTERRUPTED")
        assert tip(project, task["workspace"]["branch"]) == task["workspace"]["headCommit"]
        assert git(project, "log", "-1", "--format=%s", task["workspace"]["branch"]) == "by the task\n"
