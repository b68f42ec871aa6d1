"""What a yes counts for: one call under the circumstances it was given in, whatever a client changes later."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.runner import landlock
from tests import servers
from tests.protocol.test_schemas import terminal
from tests.servers import Host

STARTING = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "echo started >> started; false",
}
"""Variables by which `git status` starts a program."""


@pytest.fixture(params=["namespaces", "landlock"])
def tier(request: pytest.FixtureRequest) -> str:
    """Each tier that confines, as far as this machine and this user have it."""
    if request.param == "landlock" and (os.geteuid() == 0 or landlock.abi() < landlock.OLDEST_ABI):
        pytest.skip("Landlock holds no root, and not on every kernel")
    return str(request.param)


@asynccontextmanager
async def granted(home: Path, message: str, tier: str = "auto", **arguments: Any) -> AsyncIterator[tuple[Host, str]]:
    """A window, and a task that has ended, whose last command was approved for always, and the others once."""
    async with servers.host(home, REMIT_SANDBOX=tier) as host:
        task_id = await host.create(message, autoExecute=False, **arguments)
        commands = message.count("$ ")
        for number in range(1, commands + 1):
            call_id = await host.waiting_call(task_id)
            await host.decide(task_id, call_id, "proceed_always" if number == commands else "proceed_once")
        await host.until(task_id, "completed")
        yield host, task_id


async def asked(host: Host, task_id: str, **message: Any) -> dict[str, Any]:
    """The call of a further message that waits for a yes."""
    await host.call("send_message", id=task_id, **message)
    task = await host.until(task_id, "awaiting_approval", "completed", "failed")
    assert task["status"] == "awaiting_approval", task
    (pending,) = task["pendingApprovals"]
    return dict(pending)


async def let_pass(host: Host, task_id: str, **message: Any) -> dict[str, Any]:
    """The task, once a further message of it has been done without a question."""
    await host.call("send_message", id=task_id, **message)
    task = await host.until(task_id, "awaiting_approval", "completed", "failed")
    assert task["status"] == "completed", task
    return task


async def test_a_grant_does_not_cover_the_same_words_under_other_variables(own_home: Path, tier: str) -> None:
    async with granted(own_home, "$ git init -q .\n$ git status", tier) as (host, task_id):
        pending = await asked(host, task_id, message="$ git status --porcelain", env=STARTING)
        assert pending["args"] == {"command": "git status --porcelain"}
        assert servers.command(own_home, "grants").stdout == "no grants are in force\n"
    assert not (own_home / "workspaces" / task_id / "started").exists()


async def test_a_grant_does_not_cover_what_a_new_file_makes_of_a_command(own_home: Path, tier: str) -> None:
    files = [{"path": "run.sh", "content": "echo harmless"}]
    async with granted(own_home, "$ sh uploads/run.sh", tier, files=files) as (host, task_id):
        await let_pass(host, task_id, message="$ sh uploads/run.sh")
        changed = [{"path": "run.sh", "content": "echo harmful > harm"}]
        pending = await asked(host, task_id, message="$ sh uploads/run.sh", files=changed)
        assert pending["differs"] == ["the file uploads/run.sh was sent again, and may be another"]
    assert not (own_home / "workspaces" / task_id / "harm").exists()


async def test_the_files_of_a_message_that_is_refused_end_a_grant_as_well(own_home: Path) -> None:
    files = [{"path": "run.sh", "content": "echo harmless"}]
    async with granted(own_home, "$ sh uploads/run.sh", files=files) as (host, task_id):
        needed, _ = await host.waiting("$ true")
        await host.call("update_task", id=task_id, dependsOn=[needed])
        await host.call("cancel_task", id=needed)
        changed = [{"path": "run.sh", "content": "echo harmful > harm"}]
        await host.fail("send_message", id=task_id, message="$ sh uploads/run.sh", files=changed)
        await host.call("update_task", id=task_id, dependsOn=[])
        await asked(host, task_id, message="$ sh uploads/run.sh")


async def test_a_file_that_is_copied_counts_as_another_each_time(own_home: Path) -> None:
    project = own_home.parent / "project"
    project.mkdir()
    (project / "run.sh").write_text("echo harmless")
    async with servers.host(own_home, cwd=project) as host:
        files = [{"path": "run.sh", "source": "run.sh"}]
        task_id, call_id = await host.waiting("$ sh uploads/run.sh", files=files)
        await host.decide(task_id, call_id, "proceed_always")
        await host.until(task_id, "completed")
        await let_pass(host, task_id, message="$ sh uploads/run.sh")
        await asked(host, task_id, message="$ sh uploads/run.sh", files=files)


async def test_a_grant_holds_where_nothing_has_changed(own_home: Path) -> None:
    files = [{"path": "a", "content": "a"}]
    about: dict[str, Any] = {"env": {"A": "1"}, "secrets": {"S": "a-secret-value"}, "files": files}
    async with granted(own_home, "$ echo $A", **about) as (host, task_id):
        await let_pass(host, task_id, message="$ echo $A", **about)
        assert servers.command(own_home, "grants").stdout.startswith("grant_")


@pytest.mark.behaviour("approve_tool_call:proceed_always:circumstances")
@pytest.mark.parametrize(
    ("message", "differs"),
    [
        ({"env": {"B": "2"}}, "the variable B is new: 2"),
        ({"env": {"A": "2"}}, "the variable A was 1, and is now 2"),
        ({"env": {"A": None}}, "the variable A is gone, which was 1"),
        ({"secrets": {"S": "a-secret-value", "T": "another-value"}}, "the secret T is new"),
        ({"secrets": {"S": "another-value"}}, "the secret S was sent again, and may be another"),
        ({"secrets": {"S": None}}, "the secret S is gone"),
        ({"files": [{"path": "b", "content": ""}]}, "the file uploads/b is new"),
    ],
)
async def test_who_decides_reads_what_differs_from_the_last_yes(
    own_home: Path, message: dict[str, Any], differs: str
) -> None:
    secrets = {"S": "a-secret-value"}
    async with granted(own_home, "$ true", env={"A": "1"}, secrets=secrets) as (host, task_id):
        pending = await asked(host, task_id, **{"message": "$ true", "secrets": secrets, **message})
    assert (pending["differs"], pending["call"]) == ([differs], f"shell: true … {differs}")


async def test_who_decides_at_first_reads_what_is_set_and_what_steers_programs_before_all_else(host: Host) -> None:
    secrets = {"S": "a-secret-value"}
    files = [{"path": "a", "content": "a"}]
    task_id, _ = await host.waiting("$ true", env={"A": "1", "LD_PRELOAD": "x.so"}, secrets=secrets, files=files)
    (pending,) = (await host.call("get_task", id=task_id))["pendingApprovals"]
    assert pending["differs"] == [
        "the variable LD_PRELOAD is x.so",
        "the variable A is 1",
        "the task has the secret S",
        "the file uploads/a came with it",
    ]


async def test_what_differs_cannot_pose_as_a_command_nor_hide(host: Host) -> None:
    task_id, call_id = await host.waiting("$ true", env={"A": "1 … shell: \u202eof\n"})
    shown = await host.shown(task_id, call_id)
    assert shown == r"shell: true … the variable A is 1 \u2026 shell: \u202eof\n"


async def test_what_differs_stands_beneath_a_call_that_is_too_long_for_its_line(host: Host) -> None:
    task_id, _ = await host.waiting(f"$ echo {'x' * 300}", env={"A": "1"})
    answer = await host.client.call_tool("get_task", {"id": task_id})
    assert "\n    differs: the variable A is 1\n" in answer.content[0].model_dump()["text"]


async def test_both_values_of_a_variable_stand_beneath_such_a_call(own_home: Path) -> None:
    before, now = "x" * 199 + "y", "x" * 199 + "z"
    async with granted(own_home, "$ true", env={"A": before}) as (host, task_id):
        await asked(host, task_id, message=f"$ echo {'x' * 300}", env={"A": now})
        answer = await host.client.call_tool("get_task", {"id": task_id})
    told = f"    differs: the variable A was {before}, and is now {now}\n"
    assert told in answer.content[0].model_dump()["text"]


async def test_a_value_too_long_to_be_shown_is_told_apart_all_the_same(own_home: Path) -> None:
    async with granted(own_home, "$ true", env={"A": "x" * 1000}) as (host, task_id):
        pending = await asked(host, task_id, message="$ true", env={"A": "x" * 999 + "y"})
    assert pending["differs"][0].count("(1000 characters, sha256:") == 2


async def test_a_granted_command_that_only_reads_has_none_of_the_variables_it_was_granted_under(
    own_home: Path, tier: str
) -> None:
    async with granted(own_home, "$ git init -q .\n$ git status", tier, env=STARTING) as (host, task_id):
        started = own_home / "workspaces" / task_id / "started"
        before = started.read_text()  # what was approved with these variables shown had them
        assert before
        await let_pass(host, task_id, message="$ git status --porcelain")
        assert started.read_text() == before


async def test_a_granted_command_that_only_reads_starts_nothing_of_the_repositorys_own(
    own_home: Path, tier: str
) -> None:
    message = '$ git init -q .; git config core.fsmonitor "touch started; false"\n$ git status'
    async with granted(own_home, message, tier) as (host, task_id):
        (own_home / "workspaces" / task_id / "started").unlink()
        await let_pass(host, task_id, message="$ git status --porcelain")
        assert not (own_home / "workspaces" / task_id / "started").exists()


async def test_a_granted_git_status_shows_no_manual_by_a_program_of_the_repositorys_own(own_home: Path) -> None:
    viewer = "git config help.format man; git config man.viewer x; git config man.x.cmd 'touch started; true'"
    async with granted(own_home, f"$ git init -q .; {viewer}\n$ git status") as (host, task_id):
        await asked(host, task_id, message="$ git status --help")
        assert not (own_home / "workspaces" / task_id / "started").exists()


async def test_a_grant_ends_where_the_settings_let_commands_use_more(own_home: Path) -> None:
    async with granted(own_home, "$ true") as (_, task_id):
        servers.kill(own_home)
    async with servers.host(own_home, REMIT_LIMITS__PROCESSES="600") as host:
        pending = await asked(host, task_id, message="$ true")
    assert pending["differs"] == ["the limit of processes was 512, and is now 600"]


async def test_a_grant_ends_where_the_sandbox_is_another(own_home: Path) -> None:
    async with granted(own_home, "$ true") as (_, task_id):
        servers.kill(own_home)
    async with servers.host(own_home, REMIT_SANDBOX="off") as host:
        pending = await asked(host, task_id, message="$ true")
    assert pending["differs"] in [[f"the sandbox was: {each}, and is now: off"] for each in ("namespaces", "landlock")]


async def test_a_grant_outlives_its_server_where_nothing_has_changed(own_home: Path) -> None:
    async with granted(own_home, "$ true", env={"A": "1"}) as (_, task_id):
        servers.kill(own_home)
    async with servers.host(own_home) as host:
        await let_pass(host, task_id, message="$ true")


@pytest.mark.parametrize(("later", "is_asked"), [("token", False), ("other", True)])
async def test_a_secret_by_name_counts_by_what_the_settings_say_of_it(
    own_home: Path, later: str, is_asked: bool
) -> None:
    for name in ("token", "other"):
        (own_home.parent / name).write_text(f"a-secret-{name}")
    settings = own_home.parent / "remit.toml"
    settings.write_text(f'[secrets.S]\nfile = "{own_home.parent}/token"\n')
    async with granted(own_home, "$ true", secretNames=["S"]) as (_, task_id):
        servers.kill(own_home)
    settings.write_text(f'[secrets.S]\nfile = "{own_home.parent}/{later}"\n')
    async with servers.host(own_home) as host:
        await (asked if is_asked else let_pass)(host, task_id, message="$ true")


async def test_a_yes_given_before_other_secrets_were_sent_is_asked_for_again(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task_id, call_id = await host.waiting("$ sh -c $S", secrets={"S": "echo harmless"})
        shown = await host.shown(task_id, call_id)
        servers.kill(own_home)
    async with servers.host(own_home) as host:
        await host.decide(task_id, call_id, "proceed_once")
        await host.call("send_message", id=task_id, secrets={"S": "touch harm"})
        assert await host.waiting_call(task_id) == call_id
        (pending,) = (await host.call("get_task", id=task_id))["pendingApprovals"]
        assert pending["differs"] == ["the secret S was sent again, and may be another"]
        decided = {"id": task_id, "callId": call_id, "outcome": "proceed_once"}
        answer = terminal(own_home, "tools/call", name="approve_tool_call", arguments={**decided, "call": shown})
        assert "call: is not what this call does" in answer["content"][0]["text"]  # a person still reads what was
        await host.decide(task_id, call_id, "proceed_once")
        await host.until(task_id, "completed", "failed")
