"""Sharing a task's own folder with its sub-tasks."""

import json
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.cli.command_line import CommandLine
from tests.faults import DISK_BYTES, small_disk
from tests.homes import Windows
from tests.servers import Host, script
from tests.tasks.delegation.conftest import attempts, files
from tests.tasks.workspaces.projects import contents, git, in_progress, repository, tip

pytestmark = pytest.mark.anyio

VISIT = "python3 -I -S $TASK_UPLOADS/visitor.py $TASK_UPLOADS/calls.json"
OWN = {"path": "."}


@pytest.fixture
def project(place: Path) -> Path:
    """A repository with work in progress."""
    folder = repository(place / "project")
    in_progress(folder)
    return folder


def sub_task(lines: str, mode: str | None = None, **workspace: Any) -> tuple[str, dict[str, Any]]:
    named = {"mode": mode} if mode else {}
    return "create_task", {"message": script(lines), "workspace": {**OWN, **named, **workspace}}


WAIT = ("get_task", {"id": "ID", "waitSeconds": 30})


async def lent(host: Host, lines: str, *calls: tuple[str, dict[str, Any]], **arguments: Any) -> dict[str, Any]:
    """Return a task that runs a script, in which VISIT makes the calls, once it has ended; with its events."""
    uploads = 'TASK_UPLOADS="${TASK_UPLOADS:-$PWD/uploads}"\n'
    message = script(uploads + lines.replace("VISIT", VISIT))
    task = await host.done(message, files=files(calls), **arguments)
    return await host.call("get_task", id=task["id"], include=["events"], maxChars=1_000_000)


def answers(task: dict[str, Any]) -> list[dict[str, Any]]:
    assert task["status"] == "completed", (task["error"], task["output"])
    return [json.loads(line) for line in task["output"]["content"].splitlines() if line.startswith("{")]


async def test_a_sub_task_reads_the_folder_of_its_parent_and_cannot_write_it(host: Host) -> None:
    task = await lent(host, "echo found > here; VISIT", sub_task("cat here; echo x > there", "readonly"), WAIT)
    made, read = answers(task)
    assert "id" in made
    assert read["output"]["content"].startswith("found\n")
    assert (read["status"], "Read-only file system" in read["error"]) == ("failed", True)


async def test_it_can_only_read_where_nothing_is_said(host: Host) -> None:
    made, read = answers(await lent(host, "VISIT", sub_task("true"), WAIT))
    assert (read["status"], read["workspace"]["mode"]) == ("completed", "readonly")
    assert "id" in made


async def test_a_sub_task_writes_into_the_folder_of_its_parent(host: Host) -> None:
    task = await lent(host, "VISIT; cat there", sub_task("echo by the child > there", "readwrite"), WAIT)
    assert answers(task)[1]["status"] == "completed"
    assert task["output"]["content"].endswith("by the child\n")


async def test_two_of_them_write_one_after_the_other(host: Host) -> None:
    line = "echo in >> log; sleep 0.5; echo out >> log"
    made = [sub_task(line, "readwrite") for _ in range(2)]
    task = await lent(host, "VISIT; until [ $(grep -cs out log) = 2 ]; do sleep 0.1; done; cat log", *made)
    assert task["output"]["content"].endswith("in\nout\nin\nout\n")


async def test_a_worktree_begins_with_what_the_parent_has_committed(host: Host, project: Path) -> None:
    before = contents(project)
    lines = """
        echo parent > p.txt && git add p.txt && git commit -qm parent
        VISIT > "$TMPDIR/answers"; cat "$TMPDIR/answers"
        head=$(tail -1 "$TMPDIR/answers" | sed 's/.*"headCommit": "\\([0-9a-f]*\\)".*/\\1/')
        git merge -q $head
        cat c.txt
    """
    child = sub_task("cat p.txt > c.txt; git add c.txt; git commit -qm child")
    task = await lent(host, lines, child, WAIT, workspace={"path": str(project)})
    _, read = answers(task)
    assert read["workspace"]["changedFiles"] == [{"path": "c.txt", "status": "added"}]
    assert task["output"]["content"].endswith("parent\n")
    assert contents(project) == before
    assert tip(project, f"remit/{read['id']}") == read["workspace"]["headCommit"]
    assert git(project, "log", "--format=%s", f"remit/{task['id']}").splitlines() == ["child", "parent", "first"]


async def test_what_the_parent_has_not_committed_is_warned_of(host: Host, project: Path) -> None:
    task = await lent(host, "echo x > new; VISIT", sub_task("ls"), WAIT, workspace={"path": str(project)})
    made, read = answers(task)
    assert made["warnings"] == ["the sub-task does not see what is not committed"]
    assert read["output"]["content"] == "a.txt\nsub\n"


@pytest.mark.parametrize("mode", ["readwrite", "worktree"])
async def test_a_parent_that_only_reads_lends_nothing_to_be_written(host: Host, project: Path, mode: str) -> None:
    before = contents(project)
    where = {"path": str(project), "mode": "readonly"}
    task = await lent(host, "VISIT", sub_task("true", mode), workspace=where)
    (refused,) = answers(task)
    assert (refused["error"]["code"], refused["error"]["field"]) == ("FORBIDDEN", "workspace.mode")
    assert refused["error"]["message"].endswith("use readonly")
    assert attempts(task) == [("FORBIDDEN", "create_task")]
    assert contents(project) == before


async def test_a_parent_that_only_reads_a_repository_lends_it_to_be_read_where_nothing_is_said(
    host: Host, project: Path
) -> None:
    where = {"path": str(project), "mode": "readonly"}
    _, read = answers(await lent(host, "VISIT", sub_task("cat a.txt"), WAIT, workspace=where))
    assert (read["status"], read["workspace"]["mode"]) == ("completed", "readonly")


async def test_a_sub_task_that_only_reads_a_folder_needs_no_room_on_its_disk(own_window: Windows, place: Path) -> None:
    with small_disk(place / "disk") as disk:
        (disk.folder / "file").write_text("found\n")
        where = {"path": str(disk.folder), "mode": "readonly"}
        async with own_window(REMIT_LIMITS__FREE_SPACE=str(2 * DISK_BYTES)) as host:
            _, read = answers(await lent(host, "VISIT", sub_task("cat file"), WAIT, workspace=where))
        assert (read["status"], read["output"]["content"], read.get("warnings", [])) == ("completed", "found\n", [])


async def test_a_parent_that_writes_a_repository_lends_worktrees_of_it(host: Host, project: Path) -> None:
    where = {"path": str(project), "mode": "readwrite"}
    _, read = answers(await lent(host, "VISIT", sub_task("cat a.txt", "worktree"), WAIT, workspace=where))
    assert (read["output"]["content"], read["workspace"]["mode"]) == ("one\n", "worktree")


async def test_a_worktree_shows_no_more_than_the_parents_folder(host: Host, project: Path) -> None:
    where = {"path": str(project / "sub"), "mode": "readwrite"}
    (refused,) = answers(await lent(host, "VISIT", sub_task("true", "worktree"), workspace=where))
    assert (refused["error"]["code"], refused["error"]["field"]) == ("FORBIDDEN", "workspace.mode")


@pytest.mark.parametrize(
    "planted",
    [
        "echo {other} > .git/objects/info/alternates",
        "rm -rf .git; echo 'gitdir: {other}/.git' > .git",
        "rm -rf .git/objects; ln -s {other}/.git/objects .git/objects; echo {tip} > .git/refs/heads/main",
    ],
)
async def test_a_worktree_shows_nothing_of_another_folder_that_the_parent_has_its_repository_lead_to(
    host: Host, project: Path, planted: str
) -> None:
    other = repository(project.parent / "other")
    where = {"path": str(project), "mode": "readwrite"}
    lines = f"{planted.format(other=other, tip=tip(other, 'main'))}; VISIT"
    task = await lent(host, lines, sub_task("true", "worktree"), workspace=where, allowHooks=True)
    (refused,) = answers(task)
    assert (refused["error"]["code"], refused["error"]["field"]) == ("FORBIDDEN", "workspace.mode")


async def test_what_a_parent_writes_leads_no_later_task_to_another_folder(host: Host, project: Path) -> None:
    other = repository(project.parent / "other")
    where = {"path": str(project), "mode": "readwrite"}
    await host.done(f"$ echo {other} > .git/objects/info/alternates; true", workspace=where)
    task = await host.done(f"$ ls {other}/*; true", workspace={"path": str(project), "mode": "worktree"})
    assert "a.txt" not in task["output"]["content"]


async def test_a_sub_task_is_not_kept_out_by_who_waits_for_its_parent(host: Host, project: Path) -> None:
    where = {"path": str(project), "mode": "readwrite"}
    lines = f"until [ -e go ]; do sleep 0.05; done; {VISIT}"
    first = await host.create(
        script(f'TASK_UPLOADS="${{TASK_UPLOADS:-}}"\n{lines}'),
        files=files([sub_task("echo child", "readwrite"), WAIT]),
        workspace=where,
    )
    await host.until(first, "running")
    second = await host.create("$ echo second", workspace=where)
    await host.until(second, "blocked")
    (project / "go").touch()
    task = await host.until(first, "completed")
    assert answers(task)[1]["status"] == "completed"
    await host.until(second, "completed")


@pytest.mark.parametrize("mode", ["readwrite", "worktree"])
async def test_two_who_share_a_folder_lend_it_at_the_same_time(host: Host, project: Path, mode: str) -> None:
    where = {"path": str(project), "mode": "readwrite", "shared": True}
    message = "$ touch $NAME; until [ -e one ] && [ -e two ]; do sleep 0.05; done; " + VISIT
    uploads = files([sub_task("true", mode), WAIT])
    parents = [
        await host.create(message, files=uploads, workspace=where, env={"NAME": name}) for name in ("one", "two")
    ]
    for parent in parents:
        made, read = answers(await host.until(parent, "completed"))
        assert (read["id"], read["status"]) == (made["id"], "completed")


@pytest.mark.parametrize("path", ["..", "/etc", "sub"])
async def test_no_other_folder_can_be_lent(host: Host, path: str) -> None:
    task = await lent(host, "VISIT", ("create_task", {"message": "$ true", "workspace": {"path": path}}))
    (refused,) = answers(task)
    assert (refused["error"]["code"], refused["error"]["field"]) == ("FORBIDDEN", "workspace.path")
    assert attempts(task) == [("FORBIDDEN", "create_task")]


async def test_there_is_no_worktree_of_a_folder_that_is_in_no_repository(host: Host) -> None:
    (refused,) = answers(await lent(host, "VISIT", sub_task("true", "worktree")))
    assert (refused["error"]["code"], refused["error"]["field"]) == ("VALIDATION_ERROR", "workspace.mode")


BEGUN = "VISIT; until [ -e begun ]; do sleep 0.05; done"
LATER = "touch begun; until [ -e go ]; do sleep 0.05; done; "


async def left_at_work(host: Host, project: Path, command: str) -> tuple[dict[str, Any], str]:
    """Return an ended task, and the id of a sub-task that works on in its worktree until a file `go` exists."""
    child = sub_task(LATER + command, "readwrite")
    task = await lent(host, BEGUN, child, workspace={"path": str(project), "mode": "worktree"})
    (made,) = answers(task)
    return task, made["id"]


async def test_a_worktree_is_not_pruned_while_a_sub_task_works_in_it(host: Host, project: Path, tmp_path: Path) -> None:
    task, child = await left_at_work(host, project, "true")
    pruned = await pruned_by_name(host.home, tmp_path, task["id"])
    assert (pruned.returncode, "a sub-task that works in it has not ended" in pruned.stderr) == (1, True)
    await anyio.Path(task["workspace"]["folder"], "go").touch()
    await host.until(child, "completed")
    assert (await pruned_by_name(host.home, tmp_path, task["id"])).returncode == 0
    assert not await anyio.Path(task["workspace"]["folder"]).exists()


async def pruned_by_name(home: Path, cwd: Path, task_id: str) -> subprocess.CompletedProcess[str]:
    remit = CommandLine(home, cwd)
    return await anyio.to_thread.run_sync(remit, "worktrees", "prune", "--force", task_id)


async def test_what_a_sub_task_commits_in_the_worktree_of_an_ended_task_is_in_its_branch(
    host: Host, project: Path
) -> None:
    task, child = await left_at_work(host, project, "git commit -q --allow-empty -m late")
    await anyio.Path(task["workspace"]["folder"], "go").touch()
    await host.until(child, "completed")
    assert git(project, "log", "-1", "--format=%s", f"remit/{task['id']}") == "late\n"
