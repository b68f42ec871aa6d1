"""OpenCode and Claude Code do tasks in the sandbox, and ask before they act."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.agents.acp.real import CLAUDE, KEY, OPENCODE, TOKEN, Real, holding, installed
from tests.downstream.server import downstream
from tests.models.conversation import Request
from tests.models.script import Answer, Say, Think, relay, steps
from tests.models.server import model
from tests.servers import Host

pytestmark = [pytest.mark.anyio, pytest.mark.namespaces, pytest.mark.npm]


@pytest.fixture(params=[OPENCODE, CLAUDE], ids=lambda real: real.name)
def real(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Real:
    """Each real agent; they take seconds to start, and more where others are at work."""
    monkeypatch.setattr(servers, "PATIENCE", 180)
    found: Real = request.param
    found.require()
    return found


@asynccontextmanager
async def window(home: Path) -> AsyncIterator[Host]:
    async with servers.host(home) as host:
        yield host


async def asked_for(host: Host, real: Real, message: str, **arguments: Any) -> tuple[str, str]:
    """Return the ids of a new task and of the call it waits for."""
    task_id = await host.create(message, agentId=real.name, autoExecute=False, **arguments)
    task = await host.until(task_id, "awaiting_approval", "completed", "failed")
    assert task["status"] == "awaiting_approval", task
    (call,) = task["pendingApprovals"]
    return task_id, call["callId"]


def workspace(home: Path, task_id: str) -> Path:
    return home / "workspaces" / task_id


async def test_it_does_what_it_is_permitted(real: Real, tmp_path: Path) -> None:
    script = steps([Think("A file."), Say("I make it."), real.runs("echo made | tee made.txt")], Say("It is made."))
    with model(script) as asked, installed(real, tmp_path, asked) as home:
        async with window(home) as host:
            task_id, call_id = await asked_for(host, real, "make a file")
            assert not (workspace(home, task_id) / "made.txt").exists()
            await host.decide(task_id, call_id, "proceed_once")
            task = await host.until(task_id, "completed", "failed")
        assert task["status"] == "completed", task
        assert "It is made." in task["result"]
        (call,) = task["output"]["toolCalls"]
        assert (call["toolName"], call["status"]) == (real.shell, "success")
        assert "made" in call["output"]
        assert (workspace(home, task_id) / "made.txt").read_text() == "made\n"
        assert "A file." in [thought["description"] for thought in task["output"]["thoughts"]]
        assert asked.keys == {KEY}


async def test_it_asks_even_for_a_command_that_only_reads(real: Real, tmp_path: Path) -> None:
    with model(steps(real.runs("ls -la"))) as asked, installed(real, tmp_path, asked) as home:
        async with window(home) as host:
            task_id, _ = await asked_for(host, real, "look around")
            await host.call("cancel_task", id=task_id)
            await host.until(task_id, "cancelled")


async def test_it_goes_on_without_what_is_refused(real: Real, tmp_path: Path) -> None:
    def script(request: Request) -> Answer:
        refused = "Go on without it" in request.prompt or request.results
        return Say("It is left undone.") if refused else real.runs("touch made.txt")

    with model(script) as asked, installed(real, tmp_path, asked) as home:
        async with window(home) as host:
            task_id, call_id = await asked_for(host, real, "make a file")
            await host.decide(task_id, call_id, "cancel")
            task = await host.until(task_id, "completed", "failed")
        assert (task["status"], [call["status"] for call in task["output"]["toolCalls"]]) == (
            "completed",
            ["cancelled"],
        )
        assert "It is left undone." in task["result"]
        assert not (workspace(home, task_id) / "made.txt").exists()


async def test_a_cancel_ends_it_while_it_waits(real: Real, tmp_path: Path) -> None:
    with model(_once(real.runs("touch made.txt"))) as asked, installed(real, tmp_path, asked) as home:
        async with window(home) as host:
            task_id, _ = await asked_for(host, real, "make a file")
            await host.call("cancel_task", id=task_id)
            await host.until(task_id, "cancelled")
        assert not (workspace(home, task_id) / "made.txt").exists()


async def test_a_server_of_tools_is_shown_the_secret_of_its_header(real: Real, tmp_path: Path) -> None:
    with downstream() as notes, model(relay("echo", text="hello")) as asked:
        more = (
            f'[mcp_servers.notes]\nurl = "{notes.url}"\nheaders = {{ Authorization = "Bearer <<mcp.NOTES_TOKEN>>" }}\n'
        )
        with installed(real, tmp_path, asked, more) as home:
            async with window(home) as host:
                task_id, call_id = await asked_for(
                    host, real, "say hello", mcpServers=["notes"], secrets={"NOTES_TOKEN": TOKEN}
                )
                assert notes.calls == []
                await host.decide(task_id, call_id, "proceed_once")
                task = await host.until(task_id, "completed", "failed")
            assert task["status"] == "completed", task
            assert notes.calls == [("echo", "hello")]
            assert notes.was_shown("Authorization", f"Bearer {TOKEN}")
            assert holding(home, TOKEN) == []


async def test_an_approval_after_the_server_was_killed_is_for_the_same_call_once(real: Real, tmp_path: Path) -> None:
    command = real.runs("echo made >> made.txt")
    with model(_once(command)) as asked, installed(real, tmp_path, asked) as home:
        async with window(home) as host:
            task_id, call_id = await asked_for(host, real, "make a file")
            servers.kill(home)
        async with window(home) as host:
            assert await host.waiting_call(task_id) == call_id
            await host.decide(task_id, call_id, "proceed_once")
            task = await host.until(task_id, "completed", "failed", "awaiting_approval")
        assert task["status"] == "completed", task
        assert [call["status"] for call in task["output"]["toolCalls"]] == ["success"]
        assert (workspace(home, task_id) / "made.txt").read_text() == "made\n"


async def test_a_follow_up_goes_on_in_the_same_session(real: Real, tmp_path: Path) -> None:
    def script(request: Request) -> Answer:
        if any("second" in message.text for message in request.messages):
            said = any("heron" in message.text for message in request.messages if message.role == "assistant")
            return Say("It was heron." if said else "I do not know.")
        return Say("The word is heron.")

    with model(script) as asked, installed(real, tmp_path, asked) as home:
        async with window(home) as host:
            task = await host.done("first", agentId=real.name)
            await host.call("send_message", id=task["id"], message="second")
            task = await host.until(task["id"], "completed", "failed")
        assert (task["status"], task["result"]) == ("completed", "It was heron.")


async def test_its_key_is_nowhere_but_in_its_memory(real: Real, tmp_path: Path) -> None:
    with model(steps(real.runs("echo made"), Say("Done."))) as asked, installed(real, tmp_path, asked) as home:
        async with window(home) as host:
            task = await host.done("make a file", agentId=real.name)
            assert task["status"] == "completed", task
        assert asked.keys == {KEY}
        assert holding(home, KEY) == []


async def test_a_key_that_its_command_prints_is_masked(real: Real, tmp_path: Path) -> None:
    with model(steps(real.runs("env"), Say("Done."))) as asked, installed(real, tmp_path, asked) as home:
        async with window(home) as host:
            task_id = await host.create("show your variables", agentId=real.name)
            task = await host.until(task_id, "completed", "failed", include=["messages", "events"])
        assert f"{real.key}=[secret {real.key}]" in task["output"]["toolCalls"][0]["output"]
        assert KEY not in str(task)


def _once(command: Answer) -> Callable[[Request], Answer]:
    """Make one call, as often as it takes for a result that is one; then say so."""

    def script(request: Request) -> Answer:
        return Say("It is made.") if request.results else command

    return script
