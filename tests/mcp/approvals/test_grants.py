"""The scope of approvals: one call in the circumstances it was approved in, whatever a client changes later."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest

from server.runner.tiers import landlock
from server.tier_names import Confining
from tests import servers
from tests.homes import Windows
from tests.mcp.test_schemas import terminal
from tests.servers import Host

STARTING = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "echo started >> started; false",
}
"""Variables by which `git status` starts a program."""


@pytest.fixture(params=get_args(Confining))
def tier(request: pytest.FixtureRequest) -> str:
    """Each tier that confines, as far as this machine and this user have it."""
    if request.param == "landlock" and (os.geteuid() == 0 or landlock.abi() < landlock.OLDEST_ABI):
        pytest.skip("Landlock holds no root, and not on every kernel")
    return str(request.param)


@pytest.fixture
async def tiered(shared_windows: Windows, tier: str) -> AsyncIterator[Host]:
    """A window on a server with this tier."""
    async with shared_windows(REMIT_SANDBOX=tier) as host:
        yield host


async def granted(host: Host, message: str, **arguments: Any) -> str:
    """Return the id of a task that has ended, whose last command was approved for always, and the others once."""
    task_id = await host.create(message, autoExecute=False, **arguments)
    commands = message.count("$ ")
    for number in range(1, commands + 1):
        call_id = await host.waiting_call(task_id)
        await host.decide(task_id, call_id, "proceed_always" if number == commands else "proceed_once")
    await host.until(task_id, "completed")
    return task_id


def in_force(host: Host, task_id: str) -> int:
    """Return how many grants of a task `remit grants` lists."""
    grants = json.loads(servers.command(host.home, "grants", "--json").stdout)["grants"]
    return sum(grant["taskId"] == task_id for grant in grants)


async def asked(host: Host, task_id: str, **message: Any) -> dict[str, Any]:
    """Return the call of a further message that waits for a yes."""
    await host.call("send_message", id=task_id, **message)
    task = await host.until(task_id, "awaiting_approval", "completed", "failed")
    assert task["status"] == "awaiting_approval", task
    (pending,) = task["pendingApprovals"]
    return dict(pending)


async def let_pass(host: Host, task_id: str, **message: Any) -> dict[str, Any]:
    """Return the task, once a further message of it has been done without a question."""
    await host.call("send_message", id=task_id, **message)
    task = await host.until(task_id, "awaiting_approval", "completed", "failed")
    assert task["status"] == "completed", task
    return task


async def test_a_grant_does_not_cover_the_same_words_under_other_variables(tiered: Host) -> None:
    task_id = await granted(tiered, "$ git init -q .\n$ git status")
    pending = await asked(tiered, task_id, message="$ git status --porcelain", env=STARTING)
    assert pending["args"] == {"command": "git status --porcelain"}
    assert in_force(tiered, task_id) == 0
    assert not (tiered.home / "workspaces" / task_id / "started").exists()


async def test_a_grant_does_not_cover_what_a_new_file_makes_of_a_command(tiered: Host) -> None:
    files = [{"path": "run.sh", "content": "echo harmless"}]
    task_id = await granted(tiered, "$ sh uploads/run.sh", files=files)
    await let_pass(tiered, task_id, message="$ sh uploads/run.sh")
    changed = [{"path": "run.sh", "content": "echo harmful > harm"}]
    pending = await asked(tiered, task_id, message="$ sh uploads/run.sh", files=changed)
    assert pending["differs"] == ["the file uploads/run.sh was sent again, and may be another"]
    assert not (tiered.home / "workspaces" / task_id / "harm").exists()


async def test_the_files_of_a_message_that_is_refused_end_a_grant_as_well(host: Host) -> None:
    files = [{"path": "run.sh", "content": "echo harmless"}]
    task_id = await granted(host, "$ sh uploads/run.sh", files=files)
    needed, _ = await host.waiting("$ true")
    await host.call("update_task", id=task_id, dependsOn=[needed])
    await host.call("cancel_task", id=needed)
    changed = [{"path": "run.sh", "content": "echo harmful > harm"}]
    await host.fail("send_message", id=task_id, message="$ sh uploads/run.sh", files=changed)
    await host.call("update_task", id=task_id, dependsOn=[])
    await asked(host, task_id, message="$ sh uploads/run.sh")


async def test_a_file_that_is_copied_counts_as_another_each_time(host: Host, tmp_path: Path) -> None:
    (tmp_path / "project" / "run.sh").write_text("echo harmless")
    files = [{"path": "run.sh", "source": "run.sh"}]
    task_id = await granted(host, "$ sh uploads/run.sh", files=files)
    await let_pass(host, task_id, message="$ sh uploads/run.sh")
    await asked(host, task_id, message="$ sh uploads/run.sh", files=files)


async def test_a_grant_holds_where_nothing_has_changed(host: Host) -> None:
    files = [{"path": "a", "content": "a"}]
    about: dict[str, Any] = {"env": {"A": "1"}, "secrets": {"S": "a-secret-value"}, "files": files}
    task_id = await granted(host, "$ echo $A", **about)
    await let_pass(host, task_id, message="$ echo $A", **about)
    assert in_force(host, task_id) == 1


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
    host: Host, message: dict[str, Any], differs: str
) -> None:
    secrets = {"S": "a-secret-value"}
    task_id = await granted(host, "$ true", env={"A": "1"}, secrets=secrets)
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


async def test_both_values_of_a_variable_stand_beneath_such_a_call(host: Host) -> None:
    before, now = "x" * 199 + "y", "x" * 199 + "z"
    task_id = await granted(host, "$ true", env={"A": before})
    await asked(host, task_id, message=f"$ echo {'x' * 300}", env={"A": now})
    answer = await host.client.call_tool("get_task", {"id": task_id})
    told = f"    differs: the variable A was {before}, and is now {now}\n"
    assert told in answer.content[0].model_dump()["text"]


async def test_a_value_too_long_to_be_shown_is_told_apart_all_the_same(host: Host) -> None:
    task_id = await granted(host, "$ true", env={"A": "x" * 1000})
    pending = await asked(host, task_id, message="$ true", env={"A": "x" * 999 + "y"})
    assert pending["differs"][0].count("(1000 characters, sha256:") == 2


async def test_a_granted_command_that_only_reads_has_none_of_the_variables_it_was_granted_under(tiered: Host) -> None:
    task_id = await granted(tiered, "$ git init -q .\n$ git status", env=STARTING)
    started = tiered.home / "workspaces" / task_id / "started"
    before = started.read_text()  # what was approved with these variables shown had them
    assert before
    await let_pass(tiered, task_id, message="$ git status --porcelain")
    assert started.read_text() == before


async def test_a_granted_command_that_only_reads_starts_nothing_of_the_repositorys_own(tiered: Host) -> None:
    message = '$ git init -q .; git config core.fsmonitor "touch started; false"\n$ git status'
    task_id = await granted(tiered, message)
    (tiered.home / "workspaces" / task_id / "started").unlink()
    await let_pass(tiered, task_id, message="$ git status --porcelain")
    assert not (tiered.home / "workspaces" / task_id / "started").exists()


async def test_a_granted_git_status_shows_no_manual_by_a_program_of_the_repositorys_own(host: Host) -> None:
    viewer = "git config help.format man; git config man.viewer x; git config man.x.cmd 'touch started; true'"
    task_id = await granted(host, f"$ git init -q .; {viewer}\n$ git status")
    await asked(host, task_id, message="$ git status --help")
    assert not (host.home / "workspaces" / task_id / "started").exists()


async def test_a_grant_ends_where_the_settings_let_commands_use_more(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task_id = await granted(host, "$ true")
        servers.kill(own_home)
    async with servers.host(own_home, REMIT_LIMITS__PROCESSES="600") as host:
        pending = await asked(host, task_id, message="$ true")
    assert pending["differs"] == ["the limit of processes was 512, and is now 600"]


async def test_a_grant_ends_where_the_sandbox_is_another(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task_id = await granted(host, "$ true")
        servers.kill(own_home)
    async with servers.host(own_home, REMIT_SANDBOX="off") as host:
        pending = await asked(host, task_id, message="$ true")
    assert pending["differs"] in [[f"the sandbox was: {each}, and is now: off"] for each in ("namespaces", "landlock")]


async def test_a_grant_outlives_its_server_where_nothing_has_changed(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        task_id = await granted(host, "$ true", env={"A": "1"})
        servers.kill(killed_home)
    async with servers.host(killed_home) as host:
        await let_pass(host, task_id, message="$ true")


@pytest.mark.parametrize(("later", "is_asked"), [("token", False), ("other", True)])
async def test_a_secret_by_name_counts_by_what_the_settings_say_of_it(
    own_home: Path, later: str, is_asked: bool
) -> None:
    for name in ("token", "other"):
        (own_home.parent / name).write_text(f"a-secret-{name}")
    settings = own_home.parent / "remit.toml"
    settings.write_text(f'[secrets.S]\nfile = "{own_home.parent}/token"\n')
    async with servers.host(own_home) as host:
        task_id = await granted(host, "$ true", secretNames=["S"])
        servers.kill(own_home)
    settings.write_text(f'[secrets.S]\nfile = "{own_home.parent}/{later}"\n')
    async with servers.host(own_home) as host:
        await (asked if is_asked else let_pass)(host, task_id, message="$ true")


async def test_a_yes_given_before_other_secrets_were_sent_is_asked_for_again(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        task_id, call_id = await host.waiting("$ sh -c $S", secrets={"S": "echo harmless"})
        shown = await host.shown(task_id, call_id)
        servers.kill(killed_home)
    async with servers.host(killed_home) as host:
        await host.decide(task_id, call_id, "proceed_once")
        await host.call("send_message", id=task_id, secrets={"S": "touch harm"})
        assert await host.waiting_call(task_id) == call_id
        (pending,) = (await host.call("get_task", id=task_id))["pendingApprovals"]
        assert pending["differs"] == ["the secret S was sent again, and may be another"]
        decided = {"id": task_id, "callId": call_id, "outcome": "proceed_once"}
        answer = terminal(killed_home, "tools/call", name="approve_tool_call", arguments={**decided, "call": shown})
        assert "call: is not the line of this call" in answer["content"][0]["text"]  # a person still reads what was
        await host.decide(task_id, call_id, "proceed_once")
        await host.until(task_id, "completed", "failed")
