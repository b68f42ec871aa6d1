"""A folder that is shared shows its receiver the secrets that its owner has left there: they are masked there, too."""

import json
import shlex
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests import servers
from tests.homes import Windows
from tests.servers import Host, script
from tests.tasks.delegation.conftest import Call, files
from tests.tasks.workspaces.projects import repository

pytestmark = pytest.mark.anyio

SECRET = "very-secret-value"
VISIT = "python3 -I -S $TASK_UPLOADS/visitor.py $TASK_UPLOADS/calls.json"
GONE_ON = "until [ -e go ]; do sleep 0.05; done"
WAIT = ("get_task", {"id": "ID", "waitSeconds": 30})


@pytest.fixture
def project(place: Path) -> Path:
    return repository(place / "project")


def sub_task(lines: str, mode: str = "readonly") -> Call:
    return "create_task", {"message": script(lines), "workspace": {"path": ".", "mode": mode}}


async def lender(host: Host, lines: str, *calls: Call, **arguments: Any) -> str:
    """Return a new task that runs a script, in which VISIT makes the calls."""
    uploads = 'TASK_UPLOADS="${TASK_UPLOADS:-$PWD/uploads}"\n'
    return await host.create(
        script(uploads + lines.replace("VISIT", VISIT)),
        files=files(calls),
        **({"secrets": {"KEY": SECRET}} | arguments),
    )


async def borrower(host: Host, task_id: str) -> str:
    """Return the sub-task of a task, once it is there."""
    with anyio.fail_after(servers.PATIENCE):
        while not (found := (await host.call("list_tasks", parentTaskId=task_id))["tasks"]):
            await host.call("get_task", id=task_id, waitSeconds=1)
    return str(found[0]["id"])


async def whole(host: Host, task_id: str) -> dict[str, Any]:
    """Return a task that has ended, with all there is to be seen of it."""
    await host.until(task_id, "completed", "failed")
    return await host.call("get_task", id=task_id, include=["events", "messages"])


def stored(host: Host) -> list[Path]:
    """Return the files of the database in which the secret stands."""
    return [path for path in host.home.glob("remit.db*") if SECRET.encode() in path.read_bytes()]


def let_go(host: Host, task_id: str) -> None:
    (host.home / "workspaces" / task_id / "go").touch()


async def test_they_are_masked_in_what_a_borrower_prints_and_stand_in_no_database(host: Host) -> None:
    owner = await lender(host, "echo $KEY > f; VISIT", sub_task("cat f"), WAIT)
    task = await whole(host, await borrower(host, owner))
    assert (task["output"]["content"], SECRET in str(task)) == ("[secret KEY]\n", False)
    assert not stored(host)


@pytest.mark.namespaces
async def test_they_are_masked_in_the_users_folder_that_both_work_in(host: Host, project: Path) -> None:
    where = {"path": str(project), "mode": "readwrite"}
    owner = await lender(host, "echo $KEY > f; VISIT", sub_task("cat f"), WAIT, workspace=where)
    task = await whole(host, await borrower(host, owner))
    assert (task["output"]["content"], SECRET in str(task)) == ("[secret KEY]\n", False)


async def test_they_are_masked_at_any_depth(host: Host) -> None:
    below = f"""printf %s {shlex.quote(json.dumps([sub_task("cat f"), WAIT]))} > "$TMPDIR/below.json"
        python3 -I -S uploads/visitor.py "$TMPDIR/below.json\""""
    owner = await lender(host, "echo $KEY > f; VISIT", sub_task(below), WAIT)
    task = await whole(host, await borrower(host, await borrower(host, owner)))
    assert (task["output"]["content"], SECRET in str(task)) == ("[secret KEY]\n", False)


async def test_they_are_masked_also_when_the_owner_has_ended_before(host: Host) -> None:
    owner = await lender(host, "echo $KEY > f; VISIT", sub_task(f"{GONE_ON}; cat f"))
    await host.until(owner, "completed")
    let_go(host, owner)
    task = await whole(host, await borrower(host, owner))
    assert (task["output"]["content"], SECRET in str(task)) == ("[secret KEY]\n", False)


async def test_those_of_a_later_turn_of_the_owner_are_masked_too(host: Host) -> None:
    owner = await lender(host, "VISIT", sub_task("cat f"), secrets={}, autoExecute=False)
    await host.decide(owner, await host.waiting_call(owner), "proceed_once")
    await host.until(owner, "completed")
    task_id = await borrower(host, owner)
    call = await host.waiting_call(task_id)
    await host.call("send_message", id=owner, message="$ echo $KEY > f", secrets={"KEY": SECRET})
    await host.decide(owner, await host.waiting_call(owner), "proceed_once")
    await host.until(owner, "completed")
    await host.decide(task_id, call, "proceed_once")
    task = await whole(host, task_id)
    assert (task["output"]["content"], SECRET in str(task)) == ("[secret KEY]\n", False)


@pytest.mark.parametrize("how", [{"secrets": {"KEY": SECRET}}, {"secretNames": ["KEY"]}], ids=["typed", "named"])
async def test_those_that_the_owner_gets_while_a_command_of_the_borrower_runs_are_masked_in_its_output(
    own_home: Path, own_window: Windows, how: dict[str, Any]
) -> None:
    (own_home.parent / "token").write_text(SECRET)
    (own_home.parent / "remit.toml").write_text(f'[secrets.KEY]\nfile = "{own_home.parent}/token"\n')
    async with own_window() as host:
        child = sub_task(f"touch begun; {GONE_ON}; cat f", "readwrite")
        begun = "until [ -e begun ]; do sleep 0.05; done"
        owner = await lender(host, f"VISIT; {begun}", child, secrets={})
        await host.until(owner, "completed")
        task_id = await borrower(host, owner)
        await host.call("send_message", id=owner, message="$ echo $KEY > f; touch go", **how)
        task = await whole(host, task_id)
    assert (task["output"]["content"], SECRET in str(task)) == ("[secret KEY]\n", False)
    assert not stored(host)


async def test_those_that_a_borrower_gets_while_a_command_of_the_owner_runs_are_masked_in_its_output(
    host: Host,
) -> None:
    child = sub_task("true", "readwrite")
    owner = await lender(host, f"VISIT > /dev/null; {GONE_ON}; cat f", child, WAIT, secrets={})
    task_id = await borrower(host, owner)
    await host.until(task_id, "completed")
    await host.call("send_message", id=task_id, message="$ echo $KEY > f; touch go", secrets={"KEY": SECRET})
    task = await whole(host, owner)
    assert (task["output"]["content"], SECRET in str(task)) == ("[secret KEY]\n", False)
    assert not stored(host)


async def test_they_are_masked_in_the_files_of_the_borrower_as_in_the_owners(host: Host) -> None:
    owner = await lender(host, f"echo $KEY > f; VISIT; {GONE_ON}", sub_task("true"), WAIT)
    task_id = await borrower(host, owner)
    await host.until(task_id, "completed")
    for each in (owner, task_id):
        assert (await host.call("read_artifacts", id=each, path="f"))["text"] == "[secret KEY]\n"
    let_go(host, owner)
    await host.until(owner, "completed")
    for each in (owner, task_id):
        error = await host.fail("read_artifacts", id=each, path="f")
        assert (error["code"], error["missing"]) == ("SECRETS_LOST", ["KEY"])


async def written_by_a_borrower(host: Host, project: Path, lines: str) -> str:
    """Return a task whose borrower has got a secret of its own from a person, and used it in the task's worktree."""
    owner = await lender(
        host, "VISIT", sub_task("true", "readwrite"), WAIT, secrets={}, workspace={"path": str(project)}
    )
    await host.until(owner, "completed")
    task_id = await borrower(host, owner)
    await host.call("send_message", id=task_id, message=script(lines), secrets={"KEY": SECRET})
    await host.until(task_id, "completed")
    return owner


async def test_the_files_that_a_borrower_wrote_are_masked_by_its_own_secrets(host: Host, project: Path) -> None:
    owner = await written_by_a_borrower(host, project, "echo $KEY > f")
    error = await host.fail("read_artifacts", id=owner, path="f")
    assert (error["code"], error["missing"]) == ("SECRETS_LOST", ["KEY"])


async def test_no_look_at_a_worktree_shows_what_a_borrower_wrote_once_its_typed_secrets_are_gone(
    host: Host, project: Path
) -> None:
    owner = await written_by_a_borrower(host, project, "echo $KEY > f; git add f; git commit -qm f; touch more")
    await host.call("send_message", id=owner, message="$ git commit --allow-empty -qm more")
    task = await whole(host, owner)
    assert ("omittedFiles" in task["workspace"], SECRET in str(task)) == (True, False)
    assert not stored(host)


async def test_they_are_masked_in_the_diff_of_a_worktree_that_begins_with_the_owners_commits(
    host: Host, project: Path
) -> None:
    lines = "echo $KEY > p; git add p; git commit -qm p; VISIT"
    child = sub_task("cp p c; git add c; git commit -qm c", "worktree")
    owner = await lender(host, lines, child, WAIT, workspace={"path": str(project)})
    task = await whole(host, await borrower(host, owner))
    assert ("+[secret KEY]\n" in task["workspace"]["diff"], SECRET in str(task)) == (True, False)


async def test_a_diff_is_shown_where_a_borrower_that_has_ended_had_the_owners_typed_secrets(
    host: Host, project: Path
) -> None:
    tool, arguments = sub_task("echo $KEY > f; git add f", "readwrite")
    child = (tool, {**arguments, "secretNames": ["KEY"]})
    owner = await lender(host, "VISIT; git commit -qm f", child, WAIT, workspace={"path": str(project)})
    task = await whole(host, owner)
    assert ("+[secret KEY]\n" in task["workspace"].get("diff", ""), SECRET in str(task)) == (True, False)


async def test_they_are_masked_in_the_diff_of_the_owners_worktree_that_a_borrower_writes_after_its_end(
    host: Host, project: Path
) -> None:
    child = sub_task(f"{GONE_ON}; git add f; git commit -qm f", "readwrite")
    owner = await lender(host, "echo $KEY > f; VISIT", child, workspace={"path": str(project)})
    before = await host.until(owner, "completed")
    (host.home / "workspaces" / owner / "tree" / "go").touch()
    await host.until(await borrower(host, owner), "completed")
    task = await whole(host, owner)
    assert task["workspace"]["headCommit"] != before["workspace"]["headCommit"]
    assert ("+[secret KEY]\n" in task["workspace"]["diff"], SECRET in str(task)) == (True, False)


async def test_a_borrower_whose_owners_typed_secrets_are_gone_does_not_go_on(host: Host) -> None:
    owner = await lender(host, "echo $KEY > f; VISIT", sub_task("cat f"), WAIT)
    await host.until(owner, "completed")
    task_id = await borrower(host, owner)
    error = await host.fail("send_message", id=task_id, message="$ cat f")
    assert (error["code"], error["missing"], owner in error["message"]) == ("SECRETS_LOST", ["KEY"], True)


async def test_it_goes_on_while_the_owner_has_them_again(host: Host) -> None:
    owner = await lender(host, "echo $KEY > f; VISIT", sub_task("cat f"), WAIT)
    await host.until(owner, "completed")
    task_id = await borrower(host, owner)
    await host.call("send_message", id=owner, message=script(GONE_ON), secrets={"KEY": SECRET})
    await host.call("send_message", id=task_id, message="$ cat f; echo again")
    task = await whole(host, task_id)
    let_go(host, owner)
    assert (task["output"]["content"], SECRET in str(task)) == ("[secret KEY]\nagain\n", False)


async def waiting(host: Host, **secrets: Any) -> tuple[str, str, str]:
    """Return a task that shares its folder and has ended, the receiver, and its call, which waits."""
    owner = await lender(host, "echo $KEY > f; VISIT", sub_task("cat f"), autoExecute=False, **secrets)
    await host.decide(owner, await host.waiting_call(owner), "proceed_once")
    await host.until(owner, "completed")
    task_id = await borrower(host, owner)
    return owner, task_id, await host.waiting_call(task_id)


async def test_after_a_restart_a_borrower_does_not_run_unmasked(window: Windows) -> None:
    async with window() as host:
        owner, task_id, call = await waiting(host)
    servers.kill(host.home)
    async with window() as host:
        await host.decide(task_id, call, "proceed_once")
        task = await whole(host, task_id)
    (error,) = [event["data"] for event in task["events"] if event["type"] == "error"]
    assert (task["status"], error["code"], task["output"]["content"]) == ("failed", "SECRETS_LOST", "")
    assert f"send them again to task {owner}" in task["error"]
    assert SECRET not in str(task)


async def test_after_a_restart_secrets_by_name_are_masked(own_home: Path, own_window: Windows) -> None:
    (own_home.parent / "token").write_text(SECRET)
    (own_home.parent / "remit.toml").write_text(f'[secrets.KEY]\nfile = "{own_home.parent}/token"\n')
    async with own_window() as host:
        _, task_id, call = await waiting(host, secrets={}, secretNames=["KEY"])
    servers.kill(host.home)
    async with own_window() as host:
        await host.decide(task_id, call, "proceed_once")
        task = await whole(host, task_id)
    assert (task["output"]["content"], SECRET in str(task)) == ("[secret KEY]\n", False)


async def test_the_secret_of_a_borrower_that_was_deleted_is_not_shown_in_what_it_has_left(host: Host) -> None:
    owner = await lender(host, "VISIT", sub_task("true", "readwrite"), WAIT, secrets={})
    child = await borrower(host, owner)
    await host.until(owner, "completed")
    await host.call("send_message", id=child, message="$ echo $OWN > left", secrets={"OWN": SECRET})
    await host.until(child, "completed")
    await host.call("delete_task", id=child)
    error = await host.fail("read_artifacts", id=owner, path="left")
    assert (error["code"], "OWN" in error["message"]) == ("SECRETS_LOST", True)


async def test_a_command_of_a_borrower_that_is_a_line_of_the_owners_secret_is_shown_to_whoever_decides(
    host: Host,
) -> None:
    harm = "touch harm; echo done"
    secrets = {"KEY": f"0123456789\n{harm}"}
    owner = await lender(host, "VISIT", sub_task(harm, "readwrite"), autoExecute=False, secrets=secrets)
    await host.decide(owner, await host.waiting_call(owner), "proceed_once")
    await host.until(owner, "completed")
    task_id = await borrower(host, owner)
    await host.waiting_call(task_id)
    (pending,) = (await host.call("get_task", id=task_id))["pendingApprovals"]
    assert (pending["args"], pending["call"]) == ({"command": harm}, f"shell: {harm}")
