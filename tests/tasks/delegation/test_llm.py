"""The llm agent hands on sub-tasks: through its turn, without a callback channel, and waits without a process."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests import servers
from tests.homes import Windows
from tests.models.conversation import Request
from tests.models.script import Answer, Say, Script, Use, prompts, steps
from tests.models.server import Model
from tests.models.shared import Asking, Serve
from tests.servers import Host
from tests.tasks.delegation.conftest import attempts

pytestmark = pytest.mark.anyio

DELEGATES = {"REMIT_AGENTS__LLM__DELEGATES_TO": '["shell"]'}


@pytest.fixture
def thinking(window: Windows, asking: Asking) -> Windows:
    """A window on a server whose llm agent asks this model, and may hand on to the shell agent."""

    def opened(model: Model, **variables: Any) -> AbstractAsyncContextManager[Host]:
        return window(**{**asking(model, "openai"), **DELEGATES, **variables})

    return opened


def shell(message: str, **arguments: Any) -> Use:
    return Use("create_task", {"message": message, "agentId": "shell", **arguments})


def made(request: Request) -> list[str]:
    """Return the ids of the sub-tasks that were made so far."""
    found = [re.match(r"Task (\S+) is \w+\. get_task ", result.text) for result in request.results]
    return [each[1] for each in found if each]


def then(first: Answer, second: Callable[[list[str]], Answer]) -> Script:
    """Make sub-tasks, do something about them, and say all that came of it."""

    def script(request: Request) -> Answer:
        match request.answers:
            case 0:
                return first
            case 1:
                return second(made(request))
            case _:
                return Say(request.results[-1].text)

    return script


def waiting(ids: list[str], seconds: float = 600) -> list[Use]:
    return [Use("get_task", {"id": task_id, "waitSeconds": seconds}) for task_id in ids]


async def blocked(host: Host, task_id: str) -> dict[str, Any]:
    """Return the task, once it waits for sub-tasks."""
    task = await host.call("get_task", id=task_id)
    while task["status"] != "blocked":
        task = await host.call("get_task", id=task_id, include=["events"], afterEvent=task["lastEvent"], waitSeconds=20)
    return task


async def test_it_hands_on_and_sums_up(thinking: Windows, model: Serve) -> None:
    script = then([shell("$ echo one"), shell("$ echo two")], waiting)
    with model(script) as scripted:
        async with thinking(scripted) as host:
            task = await host.done("hand on", agentId="llm")
            sub_tasks = (await host.call("list_tasks", parentTaskId=task["id"]))["tasks"]
    assert task["status"] == "completed", task["error"]
    assert sorted(row["result"] for row in sub_tasks) == ["one", "two"]
    assert re.match(r"Task \S+ is completed\n", task["output"]["content"])
    assert task["output"]["content"].endswith(("\none\n", "\ntwo\n"))
    assert [call["status"] for call in task["output"]["toolCalls"]] == ["success"] * 4


async def test_while_it_waits_it_is_blocked_and_says_by_what(thinking: Windows, model: Serve) -> None:
    script = then([shell("$ cat go", autoExecute=False), shell("$ cat go", autoExecute=False)], waiting)
    with model(script) as scripted:
        async with thinking(scripted) as host:
            task_id = await host.create("hand on", agentId="llm")
            task = await blocked(host, task_id)
            sub_tasks = [row["id"] for row in (await host.call("list_tasks", parentTaskId=task_id))["tasks"]]
            assert (task["blockedReason"], set(task["blockedByTaskIds"])) == ("SUBTASKS", set(sub_tasks))
            for sub_task in sub_tasks:
                await host.decide(sub_task, await host.waiting_call(sub_task), "cancel")
            assert (await host.until(task_id, "completed"))["status"] == "completed"
    assert len(scripted.requests) == 3


async def test_it_waits_no_longer_than_it_said(thinking: Windows, model: Serve) -> None:
    script = then(shell("$ cat go", autoExecute=False), lambda ids: waiting(ids, 0.2))
    with model(script) as scripted:
        async with thinking(scripted) as host:
            task = await host.done("hand on", agentId="llm")
    assert re.match(r"Task \S+ is awaiting_approval\n", task["output"]["content"])
    assert "A person decides" in task["output"]["content"]


async def test_its_wait_survives_the_server(thinking: Windows, model: Serve) -> None:
    script = then(shell("$ echo after", autoExecute=False), waiting)
    with model(script) as scripted:
        async with thinking(scripted) as host:
            task_id = await host.create("hand on", agentId="llm")
            (sub_task,) = (await blocked(host, task_id))["blockedByTaskIds"]
            call_id = await host.waiting_call(sub_task)
        servers.kill(host.home)
        async with thinking(scripted) as host:
            assert (await host.call("get_task", id=task_id))["status"] == "blocked"
            await host.decide(sub_task, call_id, "proceed_once")
            task = await host.until(task_id, "completed", "failed")
    assert task["output"]["content"].endswith("\nafter\n")
    assert len(scripted.requests) == 3


async def test_making_sub_tasks_is_approved_like_any_call_and_looking_at_them_is_not(
    thinking: Windows, model: Serve
) -> None:
    with model(then(shell("$ echo x"), lambda ids: Use("list_tasks"))) as scripted:
        async with thinking(scripted) as host:
            task_id, call_id = await host.waiting("hand on", agentId="llm")
            (pending,) = (await host.call("get_task", id=task_id))["pendingApprovals"]
            await host.decide(task_id, call_id, "proceed_once")
            task = await host.until(task_id, "completed")
            (row,) = (await host.call("list_tasks", parentTaskId=task_id))["tasks"]
    assert (pending["toolName"], pending["description"]) == ("create_task", "Create task: $ echo x")
    assert row["autoExecute"] is False
    assert row["id"] in task["output"]["content"]


async def test_what_it_may_not_do_is_refused_and_told_of(thinking: Windows, model: Serve) -> None:
    with model(
        steps(
            Use("create_task", {"message": "x", "parentTaskId": "another"}),
            Use("create_task", {"message": "x", "agentId": "claude"}),
            Use("get_task", {"id": "another", "waitSeconds": 30}),
            Use("cancel_task", {"id": "another"}),
            Use("approve_tool_call", {"id": "x", "callId": "y", "outcome": "proceed_once"}),
            Say("I see."),
        )
    ) as scripted:
        async with thinking(scripted) as host:
            task_id = (await host.done("overstep", agentId="llm"))["id"]
            task = await host.call("get_task", id=task_id, include=["events"])
    assert attempts(task) == [
        ("FORBIDDEN", "create_task"),
        ("FORBIDDEN", "create_task"),
        ("NOT_FOUND", "get_task"),
        ("NOT_FOUND", "cancel_task"),
        ("FORBIDDEN", "approve_tool_call"),
    ]


async def test_it_has_no_tools_for_sub_tasks_at_the_last_level(thinking: Windows, model: Serve) -> None:
    script = prompts(
        {"hand on": then(Use("create_task", {"message": "go deep"}), waiting), "go deep": steps(Say("bottom"))}
    )
    with model(script) as scripted:
        async with thinking(scripted, REMIT_SUBTASKS__DEPTH="1") as host:
            task = await host.done("hand on", agentId="llm")
    assert task["output"]["content"].endswith("\nbottom")
    offered = {request.prompt: set(request.tools) for request in scripted.requests}
    assert "create_task" in offered["hand on"]
    assert "create_task" not in offered["go deep"]


async def test_one_that_fails_takes_its_sub_tasks_along(thinking: Windows, model: Serve) -> None:
    with model(then(shell("$ cat go", autoExecute=False), lambda ids: Use("shell", {"command": "true"}))) as scripted:
        async with thinking(scripted, REMIT_AGENTS__LLM__MAX_REQUESTS="2") as host:
            task = await host.done("hand on", agentId="llm")
            (row,) = (await host.call("list_tasks", parentTaskId=task["id"]))["tasks"]
    assert (task["status"], row["status"]) == ("failed", "cancelled")


async def test_one_that_is_done_leaves_its_sub_tasks_at_work(thinking: Windows, model: Serve) -> None:
    with model(then(shell("$ cat go", autoExecute=False), lambda ids: Say("done"))) as scripted:
        async with thinking(scripted) as host:
            task = await host.done("hand on", agentId="llm")
            (row,) = (await host.call("list_tasks", parentTaskId=task["id"]))["tasks"]
            assert (await host.until(row["id"], "awaiting_approval"))["parentTaskId"] == task["id"]
    assert task["status"] == "completed"


async def test_an_approval_that_waits_below_reaches_whoever_watches_above(thinking: Windows, model: Serve) -> None:
    script = prompts(
        {
            "hand on": then(Use("create_task", {"message": "hand down"}), waiting),
            "hand down": then(shell("$ echo asked", autoExecute=False), waiting),
        }
    )
    with model(script) as scripted:
        async with thinking(scripted) as host:
            task_id = await host.create("hand on", agentId="llm")
            task = await host.call("get_task", id=task_id)
            while not task.get("subtasksAwaitingApproval"):
                task = await host.call("get_task", id=task_id, waitSeconds=20, include=["events"])
            (lowest,) = task["subtasksAwaitingApproval"]
            told = [event["data"] for event in task["events"] if event["type"] == "subtask"]
            await host.decide(lowest, await host.waiting_call(lowest), "proceed_once")
            await host.until(task_id, "completed")
    assert {"taskId": lowest, "status": "awaiting_approval"} in told


async def test_its_clock_stands_still_while_it_waits(thinking: Windows, model: Serve) -> None:
    with model(then([shell("$ sleep 4"), shell("$ sleep 4")], waiting)) as scripted:
        async with thinking(scripted, REMIT_SUBTASKS__MAX_RUNNING="1") as host:
            task = await host.done("hand on", agentId="llm", timeoutSeconds=6)
    assert (task["status"], task["error"]) == ("completed", None)


async def test_its_commands_have_no_callback_channel(thinking: Windows, model: Serve) -> None:
    with model(steps(Use("shell", {"command": 'echo "[$REMIT_DOOR$REMIT_TOKEN]"'}), Say("done"))) as scripted:
        async with thinking(scripted) as host:
            task = await host.done("look", agentId="llm")
    assert task["output"]["toolCalls"][0]["output"] == "[]\n"
