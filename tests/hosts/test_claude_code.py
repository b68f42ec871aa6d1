"""Claude Code hands work to remit: it creates, waits, is asked before it approves, and reads what came of it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import servers
from tests.hosts.claude_code import call_id, does, installed, remit, task_id
from tests.models.conversation import Result
from tests.models.script import Answer, Say

pytestmark = [pytest.mark.anyio, pytest.mark.npm]

COMMAND = "touch made && echo it is made"
BIG = 300_000
"""Characters of output."""

MOST_CONTEXT = 10_000
"""Bytes that a result may add to what the model is sent."""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes seconds to start, and more where others are at work."""
    monkeypatch.setattr(servers, "PATIENCE", 120)
    monkeypatch.setattr("tests.hosts.screen.PATIENCE", 120)


def create(_: Sequence[Result]) -> Answer:
    return remit("create_task", message=f"$ {COMMAND}")


def create_asking(_: Sequence[Result]) -> Answer:
    return remit("create_task", message=f"$ {COMMAND}", autoExecute=False)


def create_big(_: Sequence[Result]) -> Answer:
    half = f"$ head -c {BIG // 2} /dev/zero | tr '\\0' x"  # of one call the server keeps 256 KiB
    return remit("create_task", message=f"{half}\n{half}")


def wait(results: Sequence[Result]) -> Answer:
    return remit("get_task", id=task_id(results), waitSeconds=45)


def approve(results: Sequence[Result]) -> Answer:
    decision = {"callId": call_id(results[-1]), "call": f"shell: {COMMAND}", "outcome": "proceed_once"}
    return remit("approve_tool_call", id=task_id(results), **decision)


def repeat(results: Sequence[Result]) -> Answer:
    return Say(f"It says: {results[-1].text}")


def test_it_hands_over_a_task_and_waits_for_its_end(tmp_path: Path) -> None:
    with installed(tmp_path, does(create, wait, repeat)) as claude:
        answer = claude.run("Make it.")
    assert "completed" in answer["result"]
    assert "it is made" in answer["result"]


async def test_without_a_person_it_approves_nothing_though_remit_is_allowed_to_it(tmp_path: Path) -> None:
    with installed(tmp_path, does(create_asking, wait, approve, repeat)) as claude:
        answer = claude.run("Make it.")
        async with servers.host(claude.home) as host:
            (row,) = (await host.call("list_tasks"))["tasks"]
    assert [denied["tool_name"] for denied in answer["permission_denials"]] == ["mcp__remit__approve_tool_call"]
    assert row["status"] == "awaiting_approval"


async def test_a_person_is_shown_what_they_approve_and_the_task_goes_on_after_their_yes(tmp_path: Path) -> None:
    script = does(create_asking, wait, approve, wait, lambda _: Say("All is done."))
    with installed(tmp_path, script) as claude, claude.at_terminal("Make it.") as screen:
        shown = screen.until(r"Do you want to proceed\?")
        async with servers.host(claude.home) as host:
            (row,) = (await host.call("list_tasks"))["tasks"]
            assert row["status"] == "awaiting_approval"
            screen.press("\r")
            screen.until(r"All is done\.")
            task = await host.call("get_task", id=row["id"])
    assert f'call: "shell: {COMMAND}"' in shown
    assert "don't ask again" not in shown
    assert (task["status"], task["result"]) == ("completed", "it is made\n")


async def test_a_no_of_the_person_decides_nothing(tmp_path: Path) -> None:
    with installed(tmp_path, does(create_asking, wait, approve)) as claude:
        with claude.at_terminal("Make it.") as screen:
            screen.until(r"Do you want to proceed\?")
            screen.press("\x1b")
            screen.until(r"(?i)interrupted|rejected|declined")
        async with servers.host(claude.home) as host:
            (row,) = (await host.call("list_tasks"))["tasks"]
    assert row["status"] == "awaiting_approval"


def test_a_big_result_takes_little_of_its_context(tmp_path: Path) -> None:
    with installed(tmp_path, does(create_big, wait, lambda _: Say("I have read it."))) as claude:
        claude.run("Print much.")
        *_, before, after = claude.model.requests
    assert "xxxx" in after.results[-1].text
    assert len(after.raw) - len(before.raw) < MOST_CONTEXT


def test_it_goes_on_after_the_server_was_killed_between_two_calls(tmp_path: Path) -> None:
    def kill(results: Sequence[Result]) -> Answer:
        servers.kill(claude.home)
        return wait(results)

    with installed(tmp_path, does(create, wait, kill, repeat)) as claude:
        answer = claude.run("Make it.")
    assert "it is made" in answer["result"]
