"""An agent program as a person meets it: through the server, with approvals, cancels, restarts and follow-ups."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests import servers
from tests.agents.acp.scripted import BEHAVIOURS
from tests.agents.acp.turns import SCRIPTED
from tests.servers import Host

SCRIPT = str(SCRIPTED)


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of a server that the tests share: it has an agent for each behaviour, by its dashed name."""
    with _home(tmp_path_factory.mktemp("shared")) as home:
        yield home


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    """A state folder of a test's own, for tests that change its settings."""
    with _home(tmp_path) as home:
        yield home


@contextmanager
def _home(folder: Path) -> Iterator[Path]:
    (folder / "remit.toml").write_text("".join(map(_settings, BEHAVIOURS)))
    with servers.home(folder) as home:
        yield home


def _settings(behaviour: str) -> str:
    command = json.dumps(["/usr/bin/python3", "-I", "-S", SCRIPT, behaviour])
    return f"[agents.{behaviour.replace('_', '-')}]\ncommand = {command}\nreadable = [{json.dumps(SCRIPT)}]\n"


@pytest.fixture
async def host(shared_home: Path) -> AsyncIterator[Host]:
    async with servers.host(shared_home) as host:
        yield host


def statuses(task: dict[str, Any]) -> list[str]:
    return [call["status"] for call in task["output"]["toolCalls"]]


def ran(host: Host, task_id: str) -> list[str]:
    file = host.home / "workspaces" / task_id / "ran.txt"
    return file.read_text().splitlines() if file.exists() else []


def _stored(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.glob("remit.db*"))


async def test_what_it_says_is_the_answer(host: Host) -> None:
    task = await host.done("do it", agentId="speaks")
    assert (task["status"], task["result"]) == ("completed", "Hello there.\n\nAnd now?[resource_link: file:///x]")


async def test_a_call_is_made_once_it_is_approved(host: Host) -> None:
    task_id, call_id = await host.waiting("do it", agentId="runs")
    assert ran(host, task_id) == []
    await host.decide(task_id, call_id, "proceed_once")
    task = await host.until(task_id, "completed")
    assert (task["result"], statuses(task), ran(host, task_id)) == ("done", ["success"], ["make"])


async def test_a_call_is_made_at_once_where_none_is_to_be_asked_for(host: Host) -> None:
    task = await host.done("do it", agentId="runs")
    assert (statuses(task), ran(host, task["id"])) == (["success"], ["make"])


@pytest.mark.parametrize(
    ("before", "now", "differs"),
    [
        ('"runs"]', '"runs", "more"]', "the agent runs has other settings"),
        ('"/bin/cat"', '"/bin/tac"', "the MCP server files has other settings"),
        ("mcp_servers = ", "# ", "the MCP server files is gone"),
    ],
)
async def test_a_grant_ends_where_the_settings_name_another_program(
    own_home: Path, before: str, now: str, differs: str
) -> None:
    settings = own_home.parent / "remit.toml"
    with_server = settings.read_text().replace("[agents.runs]\n", '[agents.runs]\nmcp_servers = ["files"]\n')
    settings.write_text(f'{with_server}[mcp_servers.files]\ncommand = "/bin/cat"\n')
    async with servers.host(own_home) as host:
        task_id, call_id = await host.waiting("do it", agentId="runs")
        await host.decide(task_id, call_id, "proceed_always")
        await host.until(task_id, "completed")
        servers.kill(own_home)
    settings.write_text(settings.read_text().replace(before, now))
    async with servers.host(own_home) as host:
        await host.call("send_message", id=task_id, message="again")
        await host.waiting_call(task_id)
        (pending,) = (await host.call("get_task", id=task_id))["pendingApprovals"]
    assert pending["differs"] == [differs]


async def test_a_call_that_is_refused_is_not_made(host: Host) -> None:
    task_id, call_id = await host.waiting("do it", agentId="runs")
    await host.decide(task_id, call_id, "cancel")
    task = await host.until(task_id, "completed")
    assert (task["result"], statuses(task), ran(host, task_id)) == ("refused", ["cancelled"], [])


async def test_the_reason_of_a_refusal_reaches_the_agent(host: Host) -> None:
    task_id, call_id = await host.waiting("do it", agentId="stops-when-refused")
    await host.decide(task_id, call_id, "cancel", message="use ninja")
    task = await host.until(task_id, "completed")
    assert "was refused: use ninja" in task["result"]


async def test_a_cancel_is_told_to_it_before_it_is_ended(host: Host) -> None:
    task_id, _ = await host.waiting("do it", agentId="is-cancelled")
    await host.call("cancel_task", id=task_id)
    task = await host.until(task_id, "cancelled")
    assert statuses(task) == ["cancelled"]
    told = host.home / "workspaces" / task_id / "cancelled.txt"
    assert told.read_text() == "session/cancel cancelled"


async def test_one_that_heeds_no_cancel_is_ended(host: Host) -> None:
    task_id = await host.create("do it", agentId="heeds-no-cancel")
    await host.said(task_id, "at it.")
    await host.call("cancel_task", id=task_id)
    await host.until(task_id, "cancelled")


async def test_one_that_crashes_in_the_middle_of_a_call_fails_its_task(host: Host) -> None:
    task = await host.done("do it", agentId="dies-at-work")
    assert (task["status"], task["errorCode"]) == ("failed", "EXECUTION_ERROR")
    assert "out of luck" in task["error"]
    assert statuses(task) == ["error"]


async def test_its_last_words_are_shown_without_the_secret_in_them(host: Host) -> None:
    task = await host.done("do it", agentId="tells-a-secret", secrets={"TOKEN": "lantern-and-tide-7"})
    assert "[secret TOKEN]" in task["error"]
    assert "lantern-and-tide-7" not in str(task)


async def test_a_secret_in_the_name_and_the_id_of_a_call_is_neither_shown_nor_stored(host: Host) -> None:
    secret = "lantern-and-tide-7"
    task_id, call_id = await host.waiting("do it", agentId="names-a-call-after-a-secret", secrets={"TOKEN": secret})
    await host.decide(task_id, call_id, "proceed_once")
    task = await host.until(task_id, "completed")
    answer = await host.call("get_task", id=task_id, include=["events", "messages"])
    assert [call["toolName"] for call in task["output"]["toolCalls"]] == ["[secret TOKEN]"]
    assert secret not in str(answer)
    assert secret.encode() not in await anyio.to_thread.run_sync(_stored, host.home)


@pytest.mark.parametrize("way", ["a line", "a thought", "an output"])
async def test_nothing_of_a_secret_is_shown_that_is_cut_where_too_much_is_said(host: Host, way: str) -> None:
    task = await host.done(way, agentId="has-its-secret-cut", secrets={"TOKEN": "lantern-and-tide-7"})
    answer = await host.call("get_task", id=task["id"], include=["events"], maxChars=1_000_000)
    assert "lantern" not in str(answer)
    assert "tide-7" not in str(answer)


async def test_an_approval_after_a_kill_is_for_the_same_call_once(shared_home: Path) -> None:
    async with servers.host(shared_home) as host:
        task_id, call_id = await host.waiting("do it", agentId="asks-as-before")
        servers.kill(shared_home)
    async with servers.host(shared_home) as host:
        assert await host.waiting_call(task_id) == call_id
        await host.decide(task_id, call_id, "proceed_once")
        task = await host.until(task_id, "completed", "awaiting_approval")
    assert (task["status"], statuses(task), ran(host, task_id)) == ("completed", ["success"], ["make"])


async def test_a_refusal_after_a_kill_is_for_the_same_call_too(shared_home: Path) -> None:
    async with servers.host(shared_home) as host:
        task_id, call_id = await host.waiting("do it", agentId="asks-as-before")
        servers.kill(shared_home)
    async with servers.host(shared_home) as host:
        await host.decide(task_id, call_id, "cancel")
        task = await host.until(task_id, "completed", "awaiting_approval")
    assert (task["status"], statuses(task), ran(host, task_id)) == ("completed", ["cancelled"], [])


async def test_one_whose_session_cannot_be_loaded_is_interrupted_by_a_kill(shared_home: Path) -> None:
    async with servers.host(shared_home) as host:
        task_id, _ = await host.waiting("do it", agentId="runs")
        servers.kill(shared_home)
    async with servers.host(shared_home) as host:
        task = await host.until(task_id, "failed")
    assert task["errorCode"] == "INTERRUPTED"


async def test_a_follow_up_loads_the_session(host: Host) -> None:
    task = await host.done("first", agentId="lasts")
    await host.call("send_message", id=task["id"], message="second")
    again = await host.until(task["id"], "completed")
    assert (task["result"], again["result"]) == ("session/new: first", "session/load: second")


async def test_one_that_makes_too_many_calls_pauses(host: Host) -> None:
    task_id = await host.create("do it", agentId="leaves-a-call-open", maxCalls=1)
    await host.until(task_id, "paused")
    assert ran(host, task_id) == ["one"]


@pytest.mark.parametrize("name", ["HOME", "NODE_OPTIONS", "XDG_CONFIG_HOME"])
async def test_a_task_cannot_steer_the_program_by_its_variables(host: Host, name: str) -> None:
    task = await host.done("do it", agentId="speaks", env={name: "/tmp/elsewhere"})
    assert (task["status"], task["errorCode"]) == ("failed", "VALIDATION_ERROR")
    assert f"env.{name}" in task["error"]


@pytest.mark.behaviour("approve_tool_call:proceed_always:masked")
async def test_a_call_with_a_whole_secret_in_it_is_masked_and_can_be_approved_once_alone(host: Host) -> None:
    task_id, call_id = await host.waiting("the token", agentId="uses-its-secret", secrets={"KEY": "a-secret-value"})
    (pending,) = (await host.call("get_task", id=task_id))["pendingApprovals"]
    assert (pending["args"], pending["onceOnly"]) == ({"token": "[secret KEY]"}, True)
    decided = {"id": task_id, "callId": call_id, "call": pending["call"]}
    error = await host.fail("approve_tool_call", **decided, outcome="proceed_always")
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "outcome")
    await host.decide(task_id, call_id, "proceed_once")
    task = await host.until(task_id, "completed")
    assert (task["result"], statuses(task)) == ("a", ["success"])


async def test_a_call_with_a_secret_in_it_is_asked_about_anew_after_a_kill(own_home: Path) -> None:
    (own_home.parent / "token").write_text("a-secret-value")
    with (own_home.parent / "remit.toml").open("a") as settings:
        settings.write(f'[secrets.KEY]\nfile = "{own_home.parent}/token"\n')
    async with servers.host(own_home) as host:
        task_id, call_id = await host.waiting("the token", agentId="uses-its-secret", secretNames=["KEY"])
        servers.kill(own_home)
    async with servers.host(own_home) as host:
        await host.decide(task_id, call_id, "proceed_once")
        await _asked_again(host, task_id)
        await host.decide(task_id, call_id, "proceed_once")
        task = await host.until(task_id, "completed")
    assert statuses(task) == ["success"]


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ("a line", "it contains a line of a secret"),
        *((way, "what it executes contains a secret") for way in ("command", "inner", "list", "input")),
    ],
)
async def test_a_call_that_hides_what_it_does_behind_a_secret_is_refused(host: Host, way: str, why: str) -> None:
    secrets = {"KEY": "0123456789\na line of it"}
    task_id = await host.create(way, agentId="uses-its-secret", autoExecute=False, secrets=secrets)
    task = await host.until(task_id, "completed", "awaiting_approval")
    (call,) = task["output"]["toolCalls"]
    assert (call["status"], call["outcome"]) == ("cancelled", "hidden")
    assert call["reason"].startswith(why)


async def _asked_again(host: Host, task_id: str) -> None:
    """Wait until the task's call waits for another yes: nothing differs from the one before."""
    with anyio.fail_after(servers.PATIENCE):
        while True:
            task = await host.call("get_task", id=task_id)
            if any("differs" not in pending for pending in task.get("pendingApprovals", [])):
                return
            news = {"include": ["events"], "afterEvent": task["lastEvent"]}
            await host.call("get_task", id=task_id, waitSeconds=10, **news)
