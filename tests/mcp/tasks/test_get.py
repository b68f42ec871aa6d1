"""Reading one task, field by field, before, during and after its work."""

import re
from typing import Any

import anyio
import pytest

from tests import servers
from tests.servers import Host


async def until_shown(host: Host, task_id: str, text: str) -> dict[str, Any]:
    """Return the task, once it has written this."""
    with anyio.fail_after(servers.PATIENCE):
        while True:
            task = await host.call("get_task", id=task_id)
            if text in task.get("output", {}).get("content", ""):
                return task
            await host.call("get_task", id=task_id, waitSeconds=20, include=["events"], afterEvent=task["lastEvent"])


@pytest.mark.behaviour(
    "get_task:username",
    "get_task:sessionId",
    "get_task:conversationId",
    "get_task:userId",
    "get_task:organizationId",
    "get_task:agentId",
    "get_task:sourceNodeType",
    "wire:organization",
)
async def test_a_task_tells_whose_it_is_and_where_it_came_from(host: Host) -> None:
    task = await host.call("get_task", id=await host.create("one", agentId="none"))
    assert (task["apiKeyId"], task["userId"], task["organizationId"]) == ("local", "local", "local")
    assert (task["agentId"], task["sourceNodeType"]) == ("none", "mcp")
    assert all(task[name] for name in ("username", "sessionId", "conversationId"))
    assert task["sessionId"] != task["conversationId"]


@pytest.mark.behaviour(
    "get_task:status:pending",
    "get_task:startedAt:null",
    "get_task:completedAt:null",
    "get_task:output:undefined",
    "get_task:pendingApprovals:undefined",
)
async def test_before_its_start_a_task_has_no_times_and_no_output(host: Host) -> None:
    task = await host.call("get_task", id=await host.create("one", agentId="none"))
    assert (task["status"], task["startedAt"], task["completedAt"], task["error"]) == ("pending", None, None, None)
    assert not {"output", "pendingApprovals"} & set(task)


@pytest.mark.behaviour(
    "get_task:status:running",
    "get_task:output:running",
    "get_task:output:content:partial",
    "get_task:output:toolCalls",
    "get_task:call:output",
    "get_task:call:status:executing",
    "get_task:call:status:pending",
)
async def test_a_running_task_shows_what_has_come_so_far(host: Host) -> None:
    task_id = await host.create("$ echo one\n$ echo two; sleep 60\n$ echo three")
    task = await until_shown(host, task_id, "two")
    calls = task["output"]["toolCalls"]
    assert (task["status"], task["completedAt"], task["output"]["content"]) == ("running", None, "one\ntwo\n")
    assert [call["status"] for call in calls] == ["success", "executing", "pending"]
    assert [call.get("output") for call in calls] == ["one\n", "two\n", None]
    await host.call("cancel_task", id=task_id)


@pytest.mark.behaviour("get_task:output:polling", "get_task:output:updatedAt")
async def test_output_tells_when_it_has_grown(host: Host) -> None:
    task_id, first = await host.waiting("$ echo one\n$ echo two\n$ true")
    await host.decide(task_id, first, "proceed_once")
    second = await host.waiting_call(task_id)
    before, again = [(await host.call("get_task", id=task_id))["output"] for _ in range(2)]
    await host.decide(task_id, second, "proceed_once")
    await host.waiting_call(task_id)
    after = (await host.call("get_task", id=task_id))["output"]
    assert (before["content"], after["content"]) == ("one\n", "one\ntwo\n")
    assert before["updatedAt"] == again["updatedAt"] < after["updatedAt"]


@pytest.mark.behaviour(
    "get_task:call:callId",
    "get_task:call:toolName",
    "get_task:call:args",
    "get_task:call:description",
    "get_task:call:status:success",
    "get_task:output:thoughts:undefined",
)
async def test_a_call_is_shown_with_its_tool_its_arguments_and_a_description(host: Host) -> None:
    task = await host.done("$ echo one\n$ echo one")
    first, second = task["output"]["toolCalls"]
    assert first["callId"] != second["callId"]
    assert (first["toolName"], first["args"], first["status"]) == ("shell", {"command": "echo one"}, "success")
    assert "echo one" in first["description"]
    assert "thoughts" not in task["output"]


@pytest.mark.behaviour("get_task:output:toolCalls:undefined")
async def test_a_task_without_calls_has_an_empty_list_of_them(host: Host) -> None:
    task_id = await host.create("one", agentId="none")
    await host.call("update_task", id=task_id, status="completed")
    assert (await host.call("get_task", id=task_id))["output"]["toolCalls"] == []


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        pytest.param("taskId", "id", marks=pytest.mark.behaviour("get_task:taskId")),
        pytest.param("orgId", "organizationId", marks=pytest.mark.behaviour("get_task:orgId")),
        pytest.param("finishedAt", "completedAt", marks=pytest.mark.behaviour("get_task:finished_at")),
        pytest.param("parentExecution", "parentTaskId", marks=pytest.mark.behaviour("get_task:parent_execution")),
    ],
)
async def test_a_field_has_one_name(host: Host, theirs: str, ours: str) -> None:
    parent = await host.create("all of it", agentId="none")
    child = await host.create("a part", agentId="none", parentTaskId=parent)
    await host.call("update_task", id=child, status="completed")
    task = await host.call("get_task", id=child)
    assert (theirs in task, bool(task[ours])) == (False, True)


@pytest.mark.parametrize(
    "field",
    [
        pytest.param("retryCount", marks=pytest.mark.behaviour("get_task:retryCount")),
        pytest.param("isManuallyStopped", marks=pytest.mark.behaviour("get_task:is_manually_stopped")),
    ],
)
async def test_a_task_has_no_field_that_would_say_nothing(host: Host, field: str) -> None:
    task_id = await host.create("one", agentId="none")
    assert (await host.call("cancel_task", id=task_id))["status"] == "cancelled"
    assert field not in await host.call("get_task", id=task_id)


@pytest.mark.behaviour("get_task:paused_at")
async def test_the_event_of_a_pause_says_when(host: Host) -> None:
    task_id = await host.create("$ true\n$ true", maxCalls=1)
    await host.until(task_id, "paused")
    task = await host.call("get_task", id=task_id, include=["events"])
    assert (task["events"][-1]["data"], task["events"][-1]["at"]) == ({"status": "paused"}, task["updatedAt"])
    await host.call("cancel_task", id=task_id)


@pytest.mark.behaviour("wire:names")
async def test_every_name_is_in_camel_case(host: Host) -> None:
    task_id, _ = await host.waiting("$ true\n$ true")
    task = await host.call("get_task", id=task_id, include=["messages", "events", "graph"])
    page = await host.call("list_tasks", page=1)
    assert [name for name in (*names(task), *names(page)) if not re.fullmatch(r"[a-z]+([A-Z][a-z]*)*", name)] == []


def names(answer: Any) -> list[str]:
    """Return every name in an answer."""
    if isinstance(answer, list):
        return [name for item in answer for name in names(item)]
    if isinstance(answer, dict):
        return [*answer, *names(list(answer.values()))]
    return []


@pytest.mark.behaviour(
    "events:status",
    "events:content",
    "events:content:isPartial",
    "events:tool_result",
    "events:error",
    "events:done",
    "events:created",
    "events:activity",
)
async def test_the_log_tells_a_task_from_its_creation_to_its_end(host: Host) -> None:
    task = await host.done("$ echo one\n$ exit 3")
    events = (await host.call("get_task", id=task["id"], include=["events"]))["events"]
    kinds = [event["type"] for event in events]
    (content,) = [event["data"] for event in events if event["type"] == "content"]
    results = [event["data"]["status"] for event in events if event["type"] == "tool_result"]
    (error,) = [event["data"] for event in events if event["type"] == "error"]
    assert (events[0]["data"], kinds[0], kinds[-1]) == ({"status": "pending"}, "status", "done")
    assert (content["text"], set(content)) == ("one\n", {"text", "callId"})
    assert (results, error["code"], error["message"]) == (["success", "error"], "EXECUTION_ERROR", task["error"])
    assert events[-1]["data"] == {"finalResponse": "one\n"}


@pytest.mark.behaviour("wire:errors:envelope")
async def test_an_error_is_marked_and_has_a_code_and_a_message(host: Host) -> None:
    result = await host.client.call_tool("get_task", {"id": "unknown"})
    assert result.is_error
    assert result.meta
    assert result.meta["remit/error"] == {
        "code": "NOT_FOUND",
        "message": "there is no task 'unknown'; list_tasks has the ids of yours, of which 8 characters are enough",
        "id": "unknown",
    }
