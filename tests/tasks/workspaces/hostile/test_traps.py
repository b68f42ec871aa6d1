"""Traps that a task leaves in a person's folder for their own git to execute: they are set aside and reported."""

import signal
from pathlib import Path

import anyio
import pytest

from server.runner.filesystem import walk
from server.runner.scanning import protected
from tests import servers
from tests.cli.command_line import CommandLine
from tests.runner.scanning.test_sockets import CONNECT, listening
from tests.servers import Host, script
from tests.tasks.workspaces.hostile.traps import (
    COMMIT,
    INIT,
    LINK,
    MANY,
    PREPARED,
    REBASE,
    STALLING,
    STATUS,
    TRAPS,
    fill,
    folder_of,
)
from tests.tasks.workspaces.projects import git, names, shell

pytestmark = [pytest.mark.anyio, pytest.mark.namespaces]

PUSH = f"""
for i in $(seq {protected.MOST_REPOSITORIES + 4}); do
    git init -q a$i; mkdir -p .git/modules/a$i; touch .git/modules/a$i/config
done
"""
"""More new repositories than are protected, in places that are found before others."""

PLANT = "for i in z/y/nested/.git/hooks/planted z/hub.git/hooks/update z/hub.git/config; do echo x > $i; done"


@pytest.mark.parametrize("trap", TRAPS)
async def test_it_does_not_run_when_the_person_next_uses_git(host: Host, place: Path, trap: str) -> None:
    kind, made, where, used = TRAPS[trap]
    mark = place / "mark"
    made = made.replace("{mark}", str(mark))
    (place / "tried").mkdir()
    tried = folder_of(place / "tried", kind)
    shell(tried, made)
    shell(tried / where, used)
    assert mark.exists(), "the trap was none"
    mark.unlink()
    folder = folder_of(place, kind)
    task = await host.done(script(made), workspace={"path": str(folder), "mode": "readwrite"})
    assert task["status"] == "completed", task["error"]
    if (folder / where).exists():  # it may be behind a link that was set aside
        shell(folder / where, used)
    assert not mark.exists()
    assert "set aside" in task["workspace"]["problem"]


@pytest.mark.parametrize("trap", PREPARED)
@pytest.mark.parametrize("tasks", [1, 2])
async def test_nor_does_what_was_prepared_by_a_command_before(host: Host, place: Path, trap: str, tasks: int) -> None:
    first, second, where = PREPARED[trap]
    mark = place / "mark"
    folder = folder_of(place, "project")
    lines = [script(each.replace("{mark}", str(mark))) for each in (first, second)]
    messages = ["\n".join(lines)] if tasks == 1 else lines
    done = [await host.done(each, workspace={"path": str(folder), "mode": "readwrite"}) for each in messages]
    assert {task["status"] for task in done} == {"completed"}
    shell(folder / where, STATUS)
    assert not mark.exists()
    assert "set aside" in done[-1]["workspace"]["problem"]


@pytest.mark.parametrize("made", STALLING)
async def test_nothing_has_the_persons_git_wait_without_end(host: Host, place: Path, made: str) -> None:
    folder = folder_of(place, "project")
    task = await host.done(script(made), workspace={"path": str(folder), "mode": "readwrite"})
    assert task["status"] == "completed", task["error"]
    with anyio.fail_after(servers.PATIENCE):
        await anyio.run_process(["git", "status"], cwd=folder, check=False)
    assert "without end" in task["workspace"]["problem"]


async def test_an_index_that_cannot_be_read_is_set_aside_and_a_reset_makes_a_new_one(host: Host, place: Path) -> None:
    folder = folder_of(place, "project")
    task = await host.done("$ echo x > .git/index", workspace={"path": str(folder), "mode": "readwrite"})
    assert ".git/index was set aside" in task["workspace"]["problem"]
    git(folder, "reset")
    assert git(folder, "status", "--porcelain") == ""


async def test_a_gitlink_of_the_persons_own_behind_more_folders_is_protected(host: Host, place: Path) -> None:
    folder = folder_of(place, "project")
    shell(folder, MANY + "git init -q z/z/new\n" + fill(COMMIT + LINK, "z/z/new", "."))
    task = await host.done("$ ! echo x > z/z/new/.git/config", workspace={"path": str(folder), "mode": "readwrite"})
    assert task["status"] == "completed", task["error"]
    assert git(folder / "z/z/new", "status", "--porcelain") == ""


@pytest.mark.parametrize("mode", ["readonly", "readwrite", "worktree"])
async def test_a_folder_of_which_not_all_was_looked_at_is_told_of_once(host: Host, place: Path, mode: str) -> None:
    folder = folder_of(place, "project")
    shell(folder, MANY + "for i in *; do touch $i/x || true; done; git add -A; git commit -qm many")
    task = await host.done("$ true\n$ true", workspace={"path": str(folder), "mode": mode})
    task = await host.call("get_task", id=task["id"], include=["events"])
    told = [event["data"]["message"] for event in task["events"] if event["type"] == "error"]
    assert "more than 2,000 folders" in task["workspace"]["problem"]
    assert len(set(told)) == len(told)


async def test_what_a_clone_and_a_commit_write_is_left_as_it_is(host: Host, place: Path) -> None:
    folder = folder_of(place, "project")
    lines = """
        git clone -q . inner && cd inner && git config user.name a && git config user.email a@a.invalid
        git checkout -qb side && git commit -q --allow-empty -m x && git worktree add -q ../linked
    """
    task = await host.done(script(lines), workspace={"path": str(folder), "mode": "readwrite"})
    assert (task["status"], "problem" in task["workspace"]) == ("completed", False)
    assert Path(git(folder / "inner", "config", "remote.origin.url").strip()) == folder
    assert git(folder / "linked", "status", "--porcelain") == ""


async def test_it_is_told_in_the_log_and_at_the_terminal(
    own_home: Path, place: Path, variables: dict[str, str]
) -> None:
    folder = folder_of(place, "plain")
    async with servers.host(own_home, cwd=place, **variables) as host:
        lines = INIT.replace("{0}", "sub").replace("{mark}", "x")
        task = await host.done(script(lines), workspace={"path": str(folder), "mode": "readwrite"})
        task = await host.call("get_task", id=task["id"], include=["events"])
        (told,) = [event["data"]["message"] for event in task["events"] if event["type"] == "error"]
        assert told.startswith("sub/.git/config was set aside as config.aside-")
        assert names(folder / "sub/.git", "config.aside-*") == {told.split()[5].rstrip(":")}
        assert "was set aside" in CommandLine(own_home, place)("show", task["id"]).stdout


@pytest.mark.parametrize("tasks", [1, 2])
async def test_new_repositories_push_no_earlier_one_out_of_the_protection(host: Host, place: Path, tasks: int) -> None:
    folder = _with_repositories(place)
    messages = [f"{script(PUSH)}\n{script(PLANT)}"] if tasks == 1 else [script(PUSH), script(PLANT)]
    for message in messages:
        await host.done(message, workspace={"path": str(folder), "mode": "readwrite"})
    _assert_nothing_planted(folder)


async def test_nor_do_those_of_a_deleted_task_after_a_restart(
    own_home: Path, place: Path, variables: dict[str, str]
) -> None:
    folder = _with_repositories(place)
    workspace = {"path": str(folder), "mode": "readwrite"}
    async with servers.host(own_home, cwd=place, **variables) as host:
        task = await host.done(script(PUSH), workspace=workspace)
        await host.call("delete_task", id=task["id"])
    for pid in servers.servers(own_home):
        servers.end(pid, signal.SIGTERM)
    async with servers.host(own_home, cwd=place, **variables) as host:
        await host.done(script(PLANT), workspace=workspace)
    _assert_nothing_planted(folder)


def _with_repositories(place: Path) -> Path:
    folder = folder_of(place, "project")
    git(folder, "init", "-q", "z/y/nested")
    git(folder, "init", "-q", "--bare", "z/hub.git")
    return folder


def _assert_nothing_planted(folder: Path) -> None:
    assert not list(folder.rglob("planted"))
    assert names(folder / "z/hub.git/hooks", "update") == set()
    assert (folder / "z/hub.git/config").read_text() != "x\n"


async def test_a_rebase_of_the_persons_own_stays_as_it_was(host: Host, place: Path) -> None:
    folder = folder_of(place, "project")
    shell(folder, REBASE.replace("{mark}", "x"))
    task = await host.done("$ touch new", workspace={"path": str(folder), "mode": "readwrite"})
    assert "problem" not in task["workspace"]
    assert (folder / ".git/rebase-merge/git-rebase-todo").read_text() == "exec touch x\n"


async def test_what_a_task_makes_beyond_the_limit_is_looked_at_after_each_command(host: Host, place: Path) -> None:
    folder, mark = folder_of(place, "project"), place / "mark"
    many = f"for i in $(seq {protected.MOST_REPOSITORIES + 4}); do git init -q a$i; done; git init -q sub"
    plant = f"git -C sub config core.fsmonitor 'touch {mark}; false'"
    message = f"{script(many)}\n{script(plant)}"
    task = await host.done(message, workspace={"path": str(folder), "mode": "readwrite"})
    assert "sub/.git/config was set aside" in task["workspace"]["problem"]
    shell(folder / "sub", STATUS)
    assert not mark.exists()


async def test_a_persons_settings_beyond_the_limit_stay_where_no_task_changes_them(host: Host, place: Path) -> None:
    folder = folder_of(place, "project")
    for number in range(protected.MOST_REPOSITORIES + 4):
        git(folder, "init", "-q", f"a{number}")
        git(folder / f"a{number}", "config", "core.editor", "vi")
    task = await host.done("$ touch new", workspace={"path": str(folder), "mode": "readwrite"})
    assert "problem" not in task["workspace"]


@pytest.mark.parametrize("trap", ["a repository in a folder", "a bare layout in a folder", "a rebase that executes"])
async def test_nor_does_it_in_the_folder_of_a_worktree(host: Host, place: Path, trap: str) -> None:
    kind, made, where, used = TRAPS[trap]
    mark = place / "mark"
    folder_of(place, kind)
    task = await host.done(script(made.replace("{mark}", str(mark))), workspace={"path": kind})
    assert task["status"] == "completed", task["error"]
    assert "set aside" in task["workspace"]["problem"]
    shell(Path(task["workspace"]["folder"]) / where, used)
    assert not mark.exists()


async def test_so_many_files_that_not_all_can_be_read_are_looked_at_in_some_seconds(host: Host, place: Path) -> None:
    folder, mark = folder_of(place, "project"), place / "mark"
    lines = """python3 - <<'END'
import os
for number in range(150):
    git = f"a{number}/.git"
    for name in ("objects", "refs", "hooks", "remotes", "branches"):
        os.makedirs(f"{git}/{name}")
    for name in ("hooks", "remotes", "branches"):
        for each in range(30):
            open(f"{git}/{name}/{each}", "w").close()
    with open(f"{git}/HEAD", "w") as head, open(f"{git}/config", "w") as config:
        head.write("ref: refs/heads/main\\n")
        config.write("[core]\\n" + "bare\\n" * 12_000)
END
"""
    plant = INIT.replace("{0}", "sub").replace("{mark}", str(mark))
    with anyio.fail_after(60):
        task = await host.done(script(lines + plant), workspace={"path": str(folder), "mode": "readwrite"})
    assert "more was set aside" in task["workspace"]["problem"]
    shell(folder / "sub", STATUS)
    assert not mark.exists()


@pytest.mark.parametrize("is_there", [True, False])
async def test_hooks_that_the_persons_own_settings_name_cannot_be_written(
    host: Host, place: Path, is_there: bool
) -> None:
    folder = folder_of(place, "hooked")
    if is_there:
        (folder / ".githooks").mkdir()
    lines = "mkdir .githooks; echo x > .githooks/post-index-change; mv .githooks moved; echo x > new"
    await host.done(script(lines), workspace={"path": str(folder), "mode": "readwrite"})
    assert (names(folder / ".githooks"), names(folder, "new"), names(folder, "moved")) == (set(), {"new"}, set())


@pytest.mark.parametrize("tasks", [1, 2])
async def test_new_folders_hide_no_socket_that_was_there_from_being_covered(
    host: Host, place: Path, tasks: int
) -> None:
    folder = folder_of(place, "plain")
    with listening(folder / "z/deep/of-the-person"):
        connect = CONNECT.replace("sys.argv[1:]", "['z/deep/of-the-person']")
        lines = [f"mkdir $(seq {walk.MOST_FOLDERS})", f"python3 - <<'END'\n{connect}\nprint('looked')\nEND"]
        messages = ["\n".join(map(script, lines))] if tasks == 1 else list(map(script, lines))
        where = {"path": str(folder), "mode": "readwrite"}
        done = [await host.done(message, workspace=where) for message in messages]
        assert (done[-1]["status"], done[-1]["output"]["toolCalls"][-1]["output"]) == ("completed", "looked\n")


async def test_so_many_links_that_not_all_are_followed_are_told(host: Host, place: Path) -> None:
    folder = folder_of(place, "plain")
    lines = f"""python3 - <<'END'
import os
for number in range({walk.MOST_LINKS + 1}):
    os.symlink(".", f"l{{number}}")
END
"""
    task = await host.done(script(lines), workspace={"path": str(folder), "mode": "readwrite"})
    assert "not all of them were looked at" in task["workspace"]["problem"]


@pytest.mark.parametrize("workspace", [{"path": "project", "mode": "readwrite"}, {"path": "project"}])
async def test_a_link_to_the_own_folder_of_a_task_is_set_aside(
    host: Host, place: Path, workspace: dict[str, str]
) -> None:
    folder_of(place, "project")
    own = await host.done("$ git init -q x; pwd")
    lines = f"rm -r sub; ln -s {own['output']['content'].strip()}/x sub; ln -s /usr/share theirs; ln -s . here"
    task = await host.done(script(lines), workspace=workspace)
    folder = Path(task["workspace"].get("folder", place / "project"))
    assert names(folder, "*.aside-remit-*") == {task["workspace"]["problem"].split(" aside as ")[1].split(":")[0]}
    assert {"theirs", "here"} < names(folder)
