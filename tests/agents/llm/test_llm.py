"""The llm agent against a scripted model: what it does, what it is shown, and what it never is."""

import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests import servers
from tests.homes import Windows
from tests.models.script import Fail, Hold, Say, Think, Use, prompts, relay, steps
from tests.models.shared import KEY, Serve

LOAD = """
import sys, threading
from contextlib import suppress
from importlib.abc import MetaPathFinder
import anyio
from server.agents.llm.agent import LlmAgent
from server.config import LlmSettings

watched = {"pydantic_ai": "pydantic_ai", "server.agents.llm.conversation": "the agent"}

class Spy(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in watched:
            is_loop = threading.current_thread() is threading.main_thread()
            print(watched[name], "in the loop" if is_loop else "in a thread")

async def key():
    return "sk-model-key"

sys.meta_path.insert(0, Spy())
with suppress(AttributeError):  # it is loaded before it looks at its turn
    anyio.run(LlmAgent(LlmSettings(model="openai:scripted"), {}, key).work, None)
"""


async def test_it_calls_a_tool_and_says_what_came_of_it(window: Windows, model: Serve, provider: str) -> None:
    with model(relay("shell", command="echo hello from here")) as scripted:
        async with window(scripted, provider) as host:
            task = await host.done("say hello", agentId="llm")
    assert (task["status"], task["output"]["content"]) == ("completed", "hello from here")
    (call,) = task["output"]["toolCalls"]
    assert (call["toolName"], call["status"], call["output"]) == ("shell", "success", "hello from here\n")
    assert scripted.keys == {KEY}


async def test_it_thinks_aloud(window: Windows, model: Serve, provider: str) -> None:
    with model(steps([Think("what would they want?"), Say("This.")])) as scripted:
        async with window(scripted, provider) as host:
            task = await host.done("think", agentId="llm")
    assert task["output"]["content"] == "This."
    assert [thought["description"] for thought in task["output"]["thoughts"]] == ["what would they want?"]


@pytest.mark.behaviour("create_task:invoke:metrics")
async def test_what_it_used_is_counted(window: Windows, model: Serve, provider: str) -> None:
    with model(relay("shell", command="true")) as scripted:
        async with window(scripted, provider) as host:
            task = await host.done("count", agentId="llm")
    usage = task["output"]["usage"]
    assert usage["requests"] == 2
    assert usage["inputTokens"] > 0
    assert usage["outputTokens"] > 0


@pytest.mark.behaviour("create_task:systemPrompt:prepended")
async def test_it_goes_by_the_system_prompt(window: Windows, model: Serve, provider: str) -> None:
    with model(steps(Say("Aye."))) as scripted:
        async with window(scripted, provider) as host:
            await host.done("hello", agentId="llm", systemPrompt="Speak like a pirate.")
    assert scripted.heard("Speak like a pirate.")


async def test_it_reads_what_it_has_written(window: Windows, model: Serve) -> None:
    script = steps(
        Use("write_file", {"path": "notes/a.txt", "content": "first\nsecond\n"}),
        Use("read_file", {"path": "notes/a.txt", "offset": 6}),
        Use("list_files", {"path": "notes"}),
        Say("done"),
    )
    with model(script) as scripted:
        async with window(scripted) as host:
            task = await host.done("write", agentId="llm")
    _, read, listed = task["output"]["toolCalls"]
    assert read["output"] == "second\n"
    assert "a.txt" in listed["output"]


async def test_nothing_of_a_secret_is_shown_that_the_ends_of_a_piece_of_a_file_cut(
    window: Windows, model: Serve
) -> None:
    script = steps(
        Use("shell", {"command": "{ printf %100s; echo $TOKEN; } > a"}),
        Use("read_file", {"path": "a", "limit": 110}),
        Use("read_file", {"path": "a", "offset": 110}),
        Say("done"),
    )
    with model(script) as scripted:
        async with window(scripted) as host:
            task = await host.done("read", agentId="llm", secrets={"TOKEN": "lantern-and-tide-7"})
    _, *read = task["output"]["toolCalls"]
    assert [call["output"].strip() for call in read] == ["[secret TOKEN]", "[secret TOKEN]"]


def holding(folder: Path, text: str) -> list[Path]:
    """Return the files beneath `folder` that hold `text`."""
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.parametrize("tool", ["read_file", "list_files"])
async def test_what_is_not_there_is_an_error_and_not_an_empty_answer(window: Windows, model: Serve, tool: str) -> None:
    with model(steps(Use(tool, {"path": "nowhere"}), Say("I see"))) as scripted:
        async with window(scripted) as host:
            task = await host.done("look", agentId="llm")
    (call,) = task["output"]["toolCalls"]
    assert (call["status"], "No such file" in call["output"]) == ("error", True)


@pytest.mark.parametrize("path", ["/etc/remit-was-here", "../remit-was-here", "/proc/self/mem"])
async def test_no_file_outside_is_written(window: Windows, model: Serve, path: str) -> None:
    with model(steps(Use("write_file", {"path": path, "content": "x"}), Say("done"))) as scripted:
        async with window(scripted) as host:
            task = await host.done("write", agentId="llm")
    assert task["status"] == "completed"
    for folder in (Path("/etc"), host.home / "workspaces"):
        assert not await anyio.Path(folder / "remit-was-here").exists()


async def test_arguments_that_cannot_be_are_told_to_the_model_and_are_no_call(window: Windows, model: Serve) -> None:
    script = steps([Use("shell", {"cmd": "true"}), Use("sing", {})], Say("I see."))
    with model(script) as scripted:
        async with window(scripted) as host:
            task = await host.done("try", agentId="llm")
    assert (task["status"], task["output"]["toolCalls"]) == ("completed", [])
    wrong, unknown = scripted.requests[-1].results
    assert "the arguments are not valid: command: is required" in wrong.text
    assert "there is no tool 'sing'; there are shell," in unknown.text


async def test_it_goes_on_after_a_yes_and_hears_a_no(window: Windows, model: Serve, provider: str) -> None:
    script = steps([Use("shell", {"command": "echo one"}), Use("shell", {"command": "echo two"})], Say("as you wish"))
    with model(script) as scripted:
        async with window(scripted, provider) as host:
            task_id = await host.create("both", agentId="llm", autoExecute=False)
            task = await host.until(task_id, "awaiting_approval")
            first, second = task["pendingApprovals"]
            await host.decide(task_id, first["callId"], "proceed_once")
            await host.decide(task_id, second["callId"], "cancel", message="no two")
            task = await host.until(task_id, "completed")
    assert [call["status"] for call in task["output"]["toolCalls"]] == ["success", "cancelled"]
    made, refused = scripted.requests[-1].results
    assert made.text == "one"
    assert "refused by whoever decides: no two" in refused.text


async def test_a_restart_while_it_waits_repeats_no_call_that_was_made(
    window: Windows, model: Serve, provider: str
) -> None:
    script = steps(
        Use("shell", {"command": "echo once >> made"}),
        Use("shell", {"command": "echo twice >> made"}),
        Use("shell", {"command": "cat made"}),
        Say("finished"),
    )
    with model(script) as scripted:
        async with window(scripted, provider) as host:
            task_id = await host.create("append", agentId="llm", autoExecute=False)
            await host.decide(task_id, await host.waiting_call(task_id), "proceed_once")
            second = await host.waiting_call(task_id)
            servers.kill(host.home)
        async with window(scripted, provider) as host:
            await host.decide(task_id, second, "proceed_once")
            await host.decide(task_id, await host.waiting_call(task_id), "proceed_once")
            task = await host.until(task_id, "completed", "failed")
    assert task["output"]["content"] == "finished"
    assert task["output"]["toolCalls"][-1]["output"] == "once\ntwice\n"
    assert len(scripted.requests) == 4


async def test_a_follow_up_goes_on_with_the_whole_conversation(window: Windows, model: Serve, provider: str) -> None:
    script = prompts({"first": relay("shell", command="echo 42"), "second": steps(Say("It was 42."))})
    with model(script) as scripted:
        async with window(scripted, provider) as host:
            task = await host.done("first", agentId="llm")
            await host.call("send_message", id=task["id"], message="second")
            task = await host.until(task["id"], "completed", "failed")
    assert task["output"]["content"] == "It was 42."
    shown = [result.text for message in scripted.requests[-1].messages for result in message.results]
    assert shown == ["42"]


async def test_neither_the_models_key_nor_a_secret_is_found_where_it_must_not_be(
    window: Windows, model: Serve, provider: str
) -> None:
    secret = "swordfish-4711-xyz"
    script = steps(Use("shell", {"command": "env; echo $TOKEN > kept; cat kept"}), Say("read it"))
    with model(script) as scripted:
        async with window(scripted, provider) as host:
            task = await host.done("look", agentId="llm", secrets={"TOKEN": secret})
    shown = json.dumps(task)
    assert task["status"] == "completed"
    assert KEY not in shown
    assert secret not in shown
    assert "[secret TOKEN]" in shown
    assert not scripted.heard(secret)
    assert holding(host.home, KEY) == []
    assert all("workspaces" in path.parts for path in holding(host.home, secret))


@pytest.mark.parametrize(("status", "words"), [(401, "401"), (400, "400")])
async def test_a_provider_that_refuses_is_a_clear_failure(
    window: Windows, model: Serve, provider: str, status: int, words: str
) -> None:
    with model(lambda _: Fail(status, f"bad key {KEY}")) as scripted:
        async with window(scripted, provider) as host:
            task = await host.done("hello", agentId="llm")
    assert (task["status"], task["errorCode"]) == ("failed", "EXECUTION_ERROR")
    assert words in task["error"]
    assert KEY not in task["error"]


async def test_too_many_requests_end_the_turn_and_a_message_goes_on(window: Windows, model: Serve) -> None:
    script = prompts({"work": lambda _: Use("shell", {"command": "true"}), "report": steps(Say("half of it"))})
    with model(script) as scripted:
        async with window(scripted, REMIT_AGENTS__LLM__MAX_REQUESTS="3") as host:
            task = await host.done("work", agentId="llm")
            assert (task["status"], task["errorCode"]) == ("failed", "LIMIT_EXCEEDED")
            assert "agents.llm.max_requests" in task["error"]
            assert len(scripted.requests) == 3
            await host.call("send_message", id=task["id"], message="report")
            task = await host.until(task["id"], "completed", "failed")
    assert task["output"]["content"] == "half of it"


async def test_cancelling_leaves_the_model(window: Windows, model: Serve) -> None:
    hold = Hold()
    with model(steps(hold)) as scripted:
        async with window(scripted) as host:
            task_id = await host.create("wait", agentId="llm")
            scripted.wait(1)
            assert (await host.call("cancel_task", id=task_id))["status"] == "cancelled"
            assert hold.left.wait(servers.PATIENCE)


def test_it_is_loaded_in_another_thread_than_that_which_serves() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, timeout=servers.PATIENCE)
    assert (done.stdout, done.returncode) == ("the agent in a thread\npydantic_ai in a thread\n", 0), done.stderr


async def test_without_a_model_it_says_how_to_name_one(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        error = await host.fail("create_task", message="hello", agentId="llm")
        assert (error["code"], error["field"]) == ("AGENT_UNAVAILABLE", "agentId")
        assert "[agents.llm] model" in error["message"]
        (llm,) = [agent for agent in (await host.call("list_agents"))["agents"] if agent["id"] == "llm"]
        assert llm["ready"] is False
        assert "model" in llm["needs"]


@pytest.mark.parametrize(
    "hidden",
    [{"K": "0123456789\ntouch harm; echo done"}, {"K": "touch harm; echo done"}],
    ids=["a line of a secret", "a whole secret"],
)
async def test_a_command_that_a_secret_would_hide_from_whoever_decides_is_refused_and_the_model_hears_why(
    window: Windows, model: Serve, hidden: dict[str, str]
) -> None:
    script = steps(Use("shell", {"command": "touch harm; echo done"}), Say("I see."))
    with model(script) as scripted:
        async with window(scripted) as host:
            task_id = await host.create("do it", agentId="llm", autoExecute=False, secrets=hidden)
            task = await host.until(task_id, "completed", "awaiting_approval")
    (call,) = task["output"]["toolCalls"]
    assert (task["status"], call["status"], call["outcome"]) == ("completed", "cancelled", "hidden")
    (result,) = scripted.requests[-1].results
    assert "refused: it contains a secret" in result.text
    assert "$NAME" in result.text
    assert not await anyio.Path(host.home / "workspaces" / task_id / "harm").exists()


async def test_a_grant_for_a_command_covers_no_other_that_a_secret_makes_look_the_same(
    window: Windows, model: Serve
) -> None:
    script = prompts(
        {
            "first": steps(Use("shell", {"command": "make test TARGET=staging-a || true"}), Say("done")),
            "second": steps(Use("shell", {"command": "make test TARGET=x;touch harm || true"}), Say("done")),
        }
    )
    with model(script) as scripted:
        async with window(scripted) as host:
            task_id, call_id = await host.waiting("first", agentId="llm")
            await host.decide(task_id, call_id, "proceed_always")
            await host.until(task_id, "completed")
            secrets = {"K": "0123456789\nstaging-a\nx;touch harm"}
            await host.call("send_message", id=task_id, message="second", secrets=secrets)
            task = await host.until(task_id, "completed", "awaiting_approval")
    assert task["output"]["toolCalls"][0]["outcome"] == "hidden"
    assert not await anyio.Path(host.home / "workspaces" / task_id / "harm").exists()
