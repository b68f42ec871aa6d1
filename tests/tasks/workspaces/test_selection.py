"""Folders of the person's that tasks work in themselves: which, how, and by how many at once."""

import json
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.errors import RemitError
from server.runner.git import repository as repositories
from server.tasks.callers import Caller
from server.tasks.requests.parts import WorkspaceRequest
from server.tasks.workspaces.selection import Folders
from tests import servers
from tests.runner.commands import NOBODY
from tests.servers import Host
from tests.storage.samples import ANN
from tests.tasks.workspaces.projects import contents, git, names, repository, text

NOT_ALLOWED = "must be a folder at or beneath one of the setting workspaces"


@pytest.fixture
def folder(place: Path) -> Path:
    """A folder that is no repository, with a file and a folder in it."""
    folder = place / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "file").write_text("mine\n")
    return folder


async def until_written(path: Path) -> None:
    with anyio.fail_after(servers.PATIENCE):
        while not await anyio.Path(path).exists():  # noqa: ASYNC110 - the sandbox sets no event
            await anyio.sleep(0.01)


def waiting_for(path: Path) -> str:
    """Return a message whose command says it is at work, and goes on until there is such a file."""
    return f"$ touch {path}.begun; until [ -e {path} ]; do sleep 0.02; done"


async def test_what_is_written_in_a_read_write_folder_stays_there(host: Host, folder: Path) -> None:
    task = await host.done("$ pwd; echo new > new", workspace={"path": "folder", "mode": "readwrite"})
    assert (task["status"], task["output"]["content"]) == ("completed", f"{folder}\n")
    assert task["workspace"] == {"path": str(folder), "mode": "readwrite", "shared": False}
    assert (text(folder, "new"), names(folder)) == ("new\n", {"file", "sub", "new"})


@pytest.mark.namespaces
async def test_what_other_tools_would_execute_stays_as_it_is_there(host: Host, place: Path) -> None:
    project = repository(place / "project")
    before = contents(project)
    message = (
        "$ for f in .envrc .vscode/tasks.json .git/hooks/pre-commit .git/config .mcp.json; do echo x >> $f; done; true"
    )
    await host.done(message, workspace={"path": "project", "mode": "readwrite"})
    assert (contents(project), names(project)) == (before, {"a.txt", "sub", ".git"})
    assert "pre-commit" not in names(project / ".git" / "hooks")


@pytest.mark.namespaces
async def test_so_it_does_where_the_folder_is_no_repository(host: Host, folder: Path) -> None:
    message = "$ for f in .envrc .bashrc .git/config .vscode/x .claude/x; do mkdir -p ${f%/*}; echo x > $f; done; true"
    await host.done(message, workspace={"path": "folder", "mode": "readwrite"})
    assert names(folder) == {"file", "sub"}


@pytest.mark.parametrize("name", [".vscode", ".git", ".git/hooks", "bare.git/hooks"])
async def test_a_folder_whose_content_is_executed_takes_leave_to_be_written(host: Host, place: Path, name: str) -> None:
    repository(place / "project")
    (place / "project" / name).mkdir(parents=True, exist_ok=True)
    for part in ("objects", "refs", "HEAD"):
        (place / "project" / "bare.git" / part).mkdir(parents=True, exist_ok=True)
    workspace = {"path": f"project/{name}", "mode": "readwrite"}
    error = await host.fail("create_task", message="$ touch x", workspace=workspace)
    assert (error["code"], error["field"]) == ("SANDBOX_UNAVAILABLE", "workspace.mode")
    task = await host.done("$ touch x", workspace=workspace, allowHooks=True)
    assert (task["status"], "x" in names(place / "project" / name)) == ("completed", True)


async def test_a_read_only_folder_is_not_written_and_home_and_tmp_are(host: Host, folder: Path) -> None:
    message = (
        "$ cat file; touch new || echo no; echo x >> file || echo no; rm file || echo no; touch ~/x /tmp/x $TMPDIR/y"
    )
    task = await host.done(message, workspace={"path": "folder", "mode": "readonly"})
    assert (task["status"], task["output"]["content"].count("no\n")) == ("completed", 3)
    assert (text(folder, "file"), names(folder)) == ("mine\n", {"file", "sub"})


async def test_without_a_mode_a_folder_that_is_no_repository_is_only_read(host: Host, folder: Path) -> None:
    created = await host.call("create_task", message="$ touch x", workspace={"path": str(folder)})
    assert created["warnings"] == [f"the task can only read {folder}: it is in no git repository"]
    assert (await host.until(created["id"], "failed"))["workspace"]["mode"] == "readonly"


async def test_uploads_do_not_land_in_the_persons_folder(host: Host, folder: Path) -> None:
    for mode in ("readonly", "readwrite"):
        task = await host.done(
            "$ cat $TASK_UPLOADS/x",
            workspace={"path": "folder", "mode": mode},
            files=[{"path": "x", "content": "sent\n"}],
        )
        assert task["output"]["content"] == "sent\n"
    assert names(folder) == {"file", "sub"}


async def test_what_the_person_has_there_does_not_count_towards_the_limit(
    own_home: Path, folder: Path, variables: Any
) -> None:
    await anyio.Path(folder, "large").write_bytes(bytes(4 * 1024**2))
    async with servers.host(own_home, cwd=folder, **variables, REMIT_LIMITS__WORKSPACE_SIZE="1MiB") as host:
        task = await host.done("$ sleep 2.5; true", workspace={"path": ".", "mode": "readwrite"})
        assert (task["status"], task["error"]) == ("completed", None)


async def test_a_server_without_a_sandbox_refuses_what_it_cannot_hold(
    own_home: Path, folder: Path, variables: Any
) -> None:
    async with servers.host(own_home, cwd=folder, **variables, REMIT_SANDBOX="off") as host:
        for mode in ("readonly", "readwrite"):
            error = await host.fail("create_task", message="$ true", workspace={"path": ".", "mode": mode})
            assert (error["code"], error["field"]) == ("SANDBOX_UNAVAILABLE", "workspace.mode")
        task = await host.done("$ touch x", workspace={"path": ".", "mode": "readwrite"}, allowHooks=True)
        assert (task["status"], "x" in names(folder)) == ("completed", True)


async def test_a_worktree_keeps_the_persons_files_apart_without_a_sandbox_too(
    own_home: Path, project: Path, variables: Any
) -> None:
    before = contents(project)
    async with servers.host(own_home, cwd=project, **variables, REMIT_SANDBOX="off") as host:
        created = await host.call(
            "create_task", message="$ echo x > x; git add x; git commit -qm x", workspace={"path": "."}
        )
        assert "whether there is any was not found out" in created["warnings"][1]
        task = await host.until(created["id"], "completed")
        assert (task["workspace"]["dirty"], contents(project)) == (False, before)


@pytest.mark.parametrize(
    "path", ["../..", "/", "/etc", "/etc/passwd", "/no/such/folder", "../../no-such-folder", "link", "link/deeper"]
)
async def test_what_is_outside_the_allowed_folders_is_refused_in_the_same_words_there_or_not(
    host: Host, allowed: Path, place: Path, path: str
) -> None:
    (place / "link").symlink_to("/usr")
    error = await host.fail("create_task", message="$ true", workspace={"path": path, "mode": "readonly"})
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "workspace.path")
    assert error["message"] == f"workspace.path: {NOT_ALLOWED}: {allowed}"


async def test_without_the_setting_no_folder_is_allowed(own_home: Path, place: Path) -> None:
    async with servers.host(own_home, cwd=place) as host:
        error = await host.fail("create_task", message="$ true", workspace={"path": "."})
        assert "workspaces = " in error["message"]


@pytest.mark.parametrize("path", [".", "state", "state/workspaces"])
async def test_the_servers_own_folders_are_given_to_nobody(own_home: Path, tmp_path: Path, path: str) -> None:
    async with servers.host(own_home, cwd=tmp_path, REMIT_WORKSPACES=json.dumps([str(tmp_path)])) as host:
        error = await host.fail("create_task", message="$ true", workspace={"path": path, "mode": "readonly"})
        assert "this server's own files" in error["message"]


@pytest.mark.parametrize(
    ("workspace", "field", "words"),
    [
        ({"path": "folder/file"}, "workspace.path", "a folder that exists"),
        ({"path": "folder/none"}, "workspace.path", "a folder that exists"),
        ({"path": "folder", "mode": "worktree"}, "workspace.mode", "needs a git repository"),
        ({"path": "folder", "mode": "other"}, "workspace.mode", "worktree"),
        ({"path": "folder", "mode": "readonly", "shared": True}, "workspace.shared", "goes with mode readwrite"),
        ({"path": "empty"}, "workspace.path", "has no commit yet"),
        ({"path": "project/new"}, "workspace.path", "not in the repository's latest commit"),
        ({"path": "project/.git"}, "workspace.path", "within git's own files"),
        ({"path": "named"}, "workspace.path", "has a branch remit"),
        ({"path": "", "mode": "readonly"}, "workspace.path", "must not be empty"),
        ({}, "workspace.path", "required"),
    ],
)
async def test_bad_requests_are_refused_before_anything_is_made(
    host: Host, folder: Path, place: Path, workspace: dict[str, Any], field: str, words: str
) -> None:
    (repository(place / "project") / "new").mkdir()
    (place / "empty").mkdir()
    git(place / "empty", "init", "-q")
    git(repository(place / "named"), "branch", "remit")
    before = (await host.call("list_tasks"))["total"]
    error = await host.fail("create_task", message="$ true", workspace=workspace)
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", field)
    assert words in error["message"]
    assert (await host.call("list_tasks"))["total"] == before


async def test_a_task_that_nobody_here_executes_works_in_no_folder(host: Host, folder: Path) -> None:
    error = await host.fail("create_task", message="x", agentId="none", workspace={"path": "folder"})
    assert "workspace is for tasks this server executes" in error["message"]


async def test_a_folder_that_leads_elsewhere_by_now_is_not_worked_in(host: Host, folder: Path) -> None:
    task_id, call = await host.waiting("$ ls", workspace={"path": "folder/sub", "mode": "readonly"})
    await anyio.Path(folder, "sub").rmdir()
    await anyio.Path(folder, "sub").symlink_to("/usr")
    await host.decide(task_id, call, "proceed_once")
    assert "gone, or leads elsewhere" in (await host.until(task_id, "failed"))["error"]
    assert (await host.fail("read_artifacts", id=task_id))["code"] == "NOT_FOUND"


async def test_two_tasks_do_not_write_one_folder_at_once(host: Host, folder: Path) -> None:
    await _one_after_the_other(host, folder, {"path": "folder"}, {"path": "folder"})


@pytest.mark.parametrize("shared", [(True, False), (False, True)])
async def test_nor_if_only_one_of_them_shares_it(host: Host, folder: Path, shared: tuple[bool, bool]) -> None:
    first, second = ({"path": "folder", "shared": each} for each in shared)
    await _one_after_the_other(host, folder, first, second)


@pytest.mark.parametrize("paths", [("folder", "folder/sub"), ("folder/sub", "folder")])
async def test_nor_two_folders_of_which_one_holds_the_other(host: Host, folder: Path, paths: tuple[str, str]) -> None:
    first, second = ({"path": path, "shared": True} for path in paths)
    await _one_after_the_other(host, folder, first, second)


async def _one_after_the_other(host: Host, folder: Path, first: dict[str, Any], second: dict[str, Any]) -> None:
    """Check that the second task waits, says for which one, and goes on by itself."""
    go = folder.parent / first["path"] / "go"
    one = await host.create(waiting_for(go), workspace={**first, "mode": "readwrite"})
    await until_written(go.with_name("go.begun"))
    two = await host.create("$ touch done", workspace={**second, "mode": "readwrite"})
    task = await host.until(two, "blocked")
    assert (task["blockedReason"], task["blockedByTaskIds"]) == ("WORKSPACE_BUSY", [one])
    (row,) = (await host.call("list_tasks", status="blocked"))["tasks"]
    assert (row["id"], row["blockedByTaskIds"]) == (two, [one])
    await anyio.Path(go).touch()
    await host.until(one, "completed")
    assert (await host.until(two, "completed"))["workspace"]["path"] == str(folder.parent / second["path"])


async def test_two_tasks_that_both_share_a_folder_write_it_at_once(host: Host, folder: Path) -> None:
    workspace = {"path": "folder", "mode": "readwrite", "shared": True}
    one = await host.create(waiting_for(folder / "go"), workspace=workspace)
    await until_written(folder / "go.begun")
    assert (await host.done("$ touch go", workspace=workspace))["status"] == "completed"
    await host.until(one, "completed")


async def test_a_task_that_only_reads_waits_for_nobody_in_the_same_folder(host: Host, folder: Path) -> None:
    one = await host.create(waiting_for(folder / "go"), workspace={"path": "folder", "mode": "readwrite"})
    await until_written(folder / "go.begun")
    task = await host.done("$ cat file", workspace={"path": "folder", "mode": "readonly"})
    assert task["output"]["content"] == "mine\n"
    await anyio.Path(folder, "go").touch()
    await host.until(one, "completed")


async def test_a_folder_is_held_while_a_call_waits_for_approval(host: Host, folder: Path) -> None:
    workspace = {"path": "folder", "mode": "readwrite"}
    one, call = await host.waiting("$ touch one", workspace=workspace)
    two = await host.create("$ ls", workspace=workspace)
    assert (await host.until(two, "blocked"))["blockedByTaskIds"] == [one]
    await host.decide(one, call, "proceed_once")
    assert "one" in (await host.until(two, "completed"))["output"]["content"]


async def test_a_worktree_and_whoever_could_move_its_repository_wait_for_each_other(host: Host, place: Path) -> None:
    project = repository(place / "project")
    one, call = await host.waiting("$ true", workspace={"path": "project"})
    two = await host.create("$ ls", workspace={"path": "project", "mode": "readwrite"})
    assert (await host.until(two, "blocked"))["blockedByTaskIds"] == [one]
    await host.decide(one, call, "cancel")
    await host.until(two, "completed")
    assert names(project) == {"a.txt", "sub", ".git"}


async def test_whoever_waits_for_a_folder_can_be_cancelled(host: Host, folder: Path) -> None:
    workspace = {"path": "folder", "mode": "readwrite"}
    one, call = await host.waiting("$ true", workspace=workspace)
    two = await host.create("$ true", workspace=workspace)
    await host.until(two, "blocked")
    assert (await host.call("cancel_task", id=two))["status"] == "cancelled"
    await host.decide(one, call, "proceed_once")
    await host.until(one, "completed")


async def test_a_folder_that_is_not_allowed_any_more_is_not_worked_in_nor_shown(
    own_home: Path, folder: Path, variables: Any
) -> None:
    async with servers.host(own_home, cwd=folder, **variables) as host:
        task = await host.done("$ cat file", workspace={"path": ".", "mode": "readonly"})
        servers.kill(own_home)
    async with servers.host(own_home, cwd=folder) as host:
        assert (await host.fail("read_artifacts", id=task["id"]))["code"] == "FORBIDDEN"
        await host.call("send_message", id=task["id"], message="$ cat file")
        assert (await host.until(task["id"], "failed"))["errorCode"] == "FORBIDDEN"


async def test_a_repository_of_somebody_else_is_not_borrowed_from(host: Host, place: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a repository away")
    project = repository(place / "project")
    for path in (project, project / ".git"):
        os.chown(path, NOBODY, NOBODY)
    error = await host.fail("create_task", message="$ true", workspace={"path": "project"})
    assert "dubious ownership" in error["message"]


async def test_without_git_a_folder_is_only_read_and_no_worktree_is_made(
    monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    repository(place / "project")
    monkeypatch.setattr(repositories, "SEARCH_PATH", "/nowhere")
    folders, caller = Folders([place], []), Caller(ANN, person=False, folder=place)
    workspace, warnings = await folders.choose(caller, WorkspaceRequest(path="project"))
    assert (workspace.mode, [warning.partition(": ")[2] for warning in warnings]) == (
        "readonly",
        ["git is not installed here"],
    )
    with pytest.raises(RemitError, match="git is not installed here"):
        await folders.choose(caller, WorkspaceRequest(path="project", mode="worktree"))
