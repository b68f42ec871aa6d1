"""Approvals, over real stdio and at the terminal."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import servers
from tests.homes import Windows
from tests.servers import Host


@pytest.fixture
async def strict(shared_windows: Windows) -> AsyncIterator[Host]:
    """A window on a server that leaves *always* to a person."""
    async with shared_windows(REMIT_ALWAYS="person") as host:
        yield host


@pytest.mark.behaviour(
    "create_task:autoExecute:false",
    "create_task:autoExecute:approve",
    "approve_tool_call:proceed_once",
    "approve_tool_call:approved:true",
    "get_task:status:awaiting_approval",
    "artifacts:kept",
)
async def test_a_task_that_asks_runs_nothing_before_a_yes(host: Host, shared_home: Path) -> None:
    task_id, call_id = await host.waiting("$ touch made")
    assert not (shared_home / "workspaces" / task_id / "made").exists()
    assert await host.decide(task_id, call_id, "proceed_once") == {"approved": True, "status": "pending"}
    await host.until(task_id, "completed")
    assert (shared_home / "workspaces" / task_id / "made").exists()


@pytest.mark.behaviour(
    "create_task:autoExecute:pendingApprovals",
    "get_task:pendingApprovals",
    "get_task:pendingApprovals:callId",
    "get_task:pendingApprovals:toolName",
    "get_task:pendingApprovals:args",
    "get_task:hitl_request",
)
async def test_a_waiting_call_shows_exactly_what_it_would_do(host: Host) -> None:
    task_id, call_id = await host.waiting("$ rm -rf   'a b'")
    (pending,) = (await host.call("get_task", id=task_id))["pendingApprovals"]
    assert (pending["callId"], pending["toolName"], pending["args"]) == (
        call_id,
        "shell",
        {"command": "rm -rf   'a b'"},
    )
    (row,) = [t for t in (await host.call("list_tasks"))["tasks"] if t["id"] == task_id]
    assert row["pendingApprovalCount"] == 1


@pytest.mark.behaviour("approve_tool_call:cancel", "approve_tool_call:approved:false", "get_task:call:status:cancelled")
async def test_a_no_cancels_the_task_and_is_kept_with_its_reason(host: Host) -> None:
    task_id, call_id = await host.waiting("$ one\n$ two")
    answer = await host.decide(task_id, call_id, "cancel", message="too risky")
    assert answer["approved"] is False
    task = await host.until(task_id, "cancelled")
    first, second = task["output"]["toolCalls"]
    assert (first["status"], first["outcome"], first["reason"]) == ("cancelled", "cancel", "too risky")
    assert first["decidedBy"].endswith("(tool call)")
    assert second["status"] == "cancelled"


async def test_the_same_decision_twice_repeats_and_a_different_one_is_a_conflict(host: Host) -> None:
    task_id, call_id = await host.waiting("$ true")
    decided = {"id": task_id, "callId": call_id, "call": await host.shown(task_id, call_id)}
    first = await host.call("approve_tool_call", **decided, outcome="proceed_once")
    assert (await host.call("approve_tool_call", **decided, outcome="proceed_once"))["approved"] == first["approved"]
    error = await host.fail("approve_tool_call", **decided, outcome="cancel")
    assert error["code"] == "CONFLICT"


async def test_each_call_asks_for_itself_after_a_yes_for_once(host: Host) -> None:
    task_id, first = await host.waiting("$ echo a\n$ echo a")
    await host.decide(task_id, first, "proceed_once")
    second = await host.waiting_call(task_id)
    assert second != first
    await host.decide(task_id, second, "proceed_once")
    assert (await host.until(task_id, "completed"))["output"]["content"] == "a\na\n"


@pytest.mark.behaviour("approve_tool_call:proceed_always")
async def test_always_covers_similar_calls_of_the_session(host: Host) -> None:
    task_id, call_id = await host.waiting("$ wc --version\n$ ls uploads -a\n$ ls uploads -l\n$ wc --version")
    await host.decide(task_id, call_id, "proceed_always")
    await host.decide(task_id, await host.waiting_call(task_id), "proceed_always")
    await host.until(task_id, "completed", "failed")
    await host.call("send_message", id=task_id, message="$ ls uploads /usr")
    assert (await host.until(task_id, "completed"))["status"] == "completed"


@pytest.mark.behaviour("approve_tool_call:proceed_always:unlike", "get_task:call:status:awaiting_approval")
async def test_always_for_one_script_does_not_let_another_pass(host: Host) -> None:
    task_id, call_id = await host.waiting("$ python3 a.py; true\n$ python3 a.py; true\n$ python3 b.py; true")
    await host.decide(task_id, call_id, "proceed_always")
    third = await host.waiting_call(task_id)
    task = await host.call("get_task", id=task_id)
    assert [call["status"] for call in task["output"]["toolCalls"]] == ["success", "success", "awaiting_approval"]
    assert task["output"]["toolCalls"][2]["callId"] == third


async def test_a_waiting_task_holds_no_process(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        await host.waiting("$ true")
        (server,) = servers.servers(own_home)
        assert _children(server) == ""


async def test_time_spent_waiting_for_approval_does_not_count(host: Host) -> None:
    task_id, call_id = await host.waiting("$ true", timeoutSeconds=1)
    await host.done("$ sleep 1.2")
    await host.decide(task_id, call_id, "proceed_once")
    assert (await host.until(task_id, "completed", "failed"))["status"] == "completed"


async def test_an_approval_nobody_gives_in_time_means_no(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_APPROVAL_EXPIRES="1") as host:
        task_id, call_id = await host.waiting("$ true")
        task = await host.until(task_id, "cancelled")
        assert task["output"]["toolCalls"][0]["outcome"] == "expired"
        decided = {"id": task_id, "callId": call_id, "call": "shell: true"}
        error = await host.fail("approve_tool_call", **decided, outcome="proceed_once")
        assert error["code"] == "APPROVAL_EXPIRED"


async def test_where_a_person_approves_a_tool_call_is_refused_and_names_the_command(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_APPROVALS="person") as host:
        task_id, call_id = await host.waiting("$ true")
        decided = {"id": task_id, "callId": call_id, "call": await host.shown(task_id, call_id)}
        error = await host.fail("approve_tool_call", **decided, outcome="proceed_once")
        assert error["code"] == "FORBIDDEN"
        assert f"remit approve {task_id} {call_id}" in error["message"]
        await host.waiting_call(task_id)


@pytest.mark.behaviour("approve_tool_call:call")
@pytest.mark.parametrize("call", ["", "shell: rm -rf dist", "shell: rm -rf build/", "rm -rf build"])
async def test_a_call_that_is_not_what_waits_decides_nothing_and_is_told_the_right_one(host: Host, call: str) -> None:
    task_id, call_id = await host.waiting("$ rm -rf build")
    error = await host.fail("approve_tool_call", id=task_id, callId=call_id, call=call, outcome="proceed_once")
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "call")
    assert error["message"].endswith(": shell: rm -rf build")
    assert await host.waiting_call(task_id) == call_id


@pytest.mark.behaviour("approve_tool_call:call")
async def test_white_space_does_not_count_in_the_call_that_is_given_back(host: Host) -> None:
    task_id, call_id = await host.waiting("$ echo one")
    arguments = {"id": task_id, "callId": call_id, "call": " shell:\n echo  one\n", "outcome": "proceed_once"}
    assert (await host.call("approve_tool_call", **arguments))["approved"]


async def test_a_host_cannot_decide_without_saying_what_the_call_does(host: Host) -> None:
    task_id, call_id = await host.waiting("$ true")
    error = await host.fail("approve_tool_call", id=task_id, callId=call_id, outcome="cancel")
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "call")
    assert await host.waiting_call(task_id) == call_id


async def test_a_waiting_call_is_told_on_one_line_in_which_it_hides_nothing(host: Host) -> None:
    task_id, call_id = await host.waiting("```sh\nls \u202e~ fr- mr # \\\nrm \u200b-rf ~ # … (9 characters)\n```")
    assert await host.shown(task_id, call_id) == (
        r"shell: ls \u202e~ fr- mr # \\\nrm \u200b-rf ~ # \u2026 (9 characters)"
    )


async def test_the_line_of_a_long_call_is_as_long_as_it_may_be_whatever_get_task_cuts(host: Host) -> None:
    task_id, call_id = await host.waiting("$ echo " + "x" * 5000)
    task = await host.call("get_task", id=task_id, maxChars=200)
    (pending,) = task["pendingApprovals"]
    assert len(pending["call"]) == 200
    assert "… (5012 characters, sha256:" in pending["call"]
    assert pending["call"] == await host.shown(task_id, call_id)


async def test_hosts_read_that_deciding_a_call_needs_their_user(host: Host) -> None:
    tools = {tool.name: tool for tool in (await host.client.list_tools()).tools}
    asking = {name for name, tool in tools.items() if (tool.meta or {}).get("anthropic/requiresUserInteraction")}
    assert asking == {"approve_tool_call"}
    assert "call" in tools["approve_tool_call"].input_schema["required"]


@pytest.mark.behaviour("approve_tool_call:proceed_always:person")
async def test_where_a_person_approves_for_always_a_tool_call_cannot_and_does_not_do_less(strict: Host) -> None:
    task_id, call_id = await strict.waiting("$ true")
    call = await strict.shown(task_id, call_id)
    arguments = {"id": task_id, "callId": call_id, "call": call}
    error = await strict.fail("approve_tool_call", **arguments, outcome="proceed_always")
    assert (error["code"], error["field"]) == ("FORBIDDEN", "outcome")
    assert 'always = "person"' in error["message"]
    assert "proceed_once" in error["message"]
    await strict.waiting_call(task_id)


@pytest.mark.parametrize("outcome", ["proceed_once", "cancel"])
async def test_where_a_person_approves_for_always_a_tool_call_still_decides_once(strict: Host, outcome: str) -> None:
    task_id, call_id = await strict.waiting("$ true")
    assert (await strict.decide(task_id, call_id, outcome))["approved"] == (outcome == "proceed_once")


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()
