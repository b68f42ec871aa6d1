"""Relations between tasks: dependencies, sub-tasks, lists and their graphs."""

import json
from pathlib import Path

import anyio
import pytest

from tests import servers
from tests.servers import Host


@pytest.mark.behaviour(
    "create_task:dependsOn",
    "get_task:status:blocked",
    "get_task:blockedReason",
    "get_task:blockedByTaskIds",
    "update_task:dependencies:free",
)
async def test_a_task_starts_when_what_it_depends_on_has_completed(host: Host) -> None:
    first, call = await host.waiting("$ echo first")
    second = await host.create("$ echo second", dependsOn=[first])
    blocked = await host.call("get_task", id=second)
    await host.decide(first, call, "proceed_once")
    task = await host.until(second, "completed")
    assert (blocked["status"], blocked["blockedReason"]) == ("blocked", "DEPENDENCIES")
    assert blocked["blockedByTaskIds"] == blocked["dependsOn"] == [first]
    assert task["startedAt"] >= (await host.call("get_task", id=first))["completedAt"]


async def test_a_wait_goes_on_while_others_are_waited_for(host: Host) -> None:
    first = await host.create("one", agentId="none")
    second = await host.create("$ echo second", dependsOn=[first])
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: host.call("update_task", id=first, status="completed"))
        task = await host.call("get_task", id=second, waitSeconds=20)
    assert (task["status"], task["result"]) == ("completed", "second\n")


async def test_a_wait_is_over_where_somebody_has_to_unblock_a_task(host: Host) -> None:
    task_id = await host.create("one", agentId="none")
    await host.call("update_task", id=task_id, status="blocked", blockedReason="waits for the customer")
    with anyio.fail_after(20):
        task = await host.call("get_task", id=task_id, waitSeconds=45)
    assert task["status"] == "blocked"


async def test_dependencies_that_are_not_shown_are_counted(host: Host) -> None:
    needed = [await host.create("one of many", agentId="none") for _ in range(203)]
    second = await host.create("all of them", agentId="none", dependsOn=needed)
    await host.call("update_task", id=needed[0], status="completed")
    task = await host.call("get_task", id=second)
    assert len(task["dependsOn"]) + task["omittedDependencies"] == 203
    assert len(task["blockedByTaskIds"]) + task["omittedBlockers"] == 202
    few = await host.call("get_task", id=await host.create("few", agentId="none", dependsOn=needed[:5]))
    assert (len(few["dependsOn"]), "omittedDependencies" in few, "omittedBlockers" in few) == (5, False, False)


@pytest.mark.behaviour("update_task:dependencies:free")
async def test_a_failure_ends_all_that_depends_on_it_and_names_it(host: Host) -> None:
    first, call = await host.waiting("$ exit 3")
    second = await host.create("$ true", dependsOn=[first])
    third = await host.create("$ true", dependsOn=[second])
    await host.decide(first, call, "proceed_once")
    task = await host.until(third, "failed")
    assert (task["errorCode"], first in task["error"]) == ("DEPENDENCY_FAILED", True)


async def test_a_task_may_go_on_without_what_has_failed(host: Host) -> None:
    first, call = await host.waiting("$ exit 3")
    second = await host.create("$ echo anyway", dependsOn=[first], onDependencyFailure="continue")
    await host.decide(first, call, "proceed_once")
    assert (await host.until(second, "completed", "failed"))["result"] == "anyway\n"


async def test_waiting_for_something_that_has_failed_is_refused(host: Host) -> None:
    failed = await host.done("$ exit 1")
    error = await host.fail("create_task", message="$ true", dependsOn=[failed["id"]])
    assert (error["code"], error["field"], error["id"]) == ("DEPENDENCY_FAILED", "dependsOn", failed["id"])


@pytest.mark.behaviour("update_task:dependencies:cycle")
async def test_a_cycle_is_refused_and_shown(host: Host) -> None:
    first = await host.create("one", agentId="none")
    second = await host.create("two", agentId="none", dependsOn=[first])
    error = await host.fail("update_task", id=first, dependsOn=[second])
    assert (error["code"], error["cycle"]) == ("DEPENDENCY_CYCLE", [first, second, first])


@pytest.mark.behaviour("update_task:dependsOn")
async def test_dependencies_can_be_changed_before_the_start(host: Host) -> None:
    first = await host.create("one", agentId="none")
    second = await host.create("$ echo two", dependsOn=[first])
    await host.call("update_task", id=second, dependsOn=[])
    assert (await host.until(second, "completed"))["result"] == "two\n"


@pytest.mark.behaviour("update_task:dependencies:held")
async def test_a_record_cannot_be_reported_done_before_what_it_waits_for(host: Host) -> None:
    first = await host.create("one", agentId="none")
    second = await host.create("two", agentId="none", dependsOn=[first])
    error = await host.fail("update_task", id=second, status="completed")
    assert (error["code"], error["blockedByTaskIds"]) == ("CONFLICT", [first])


@pytest.mark.behaviour(
    "delete_task:cascade:default_false", "delete_task:answer:deletedCount", "delete_task:answer:deletedTaskIds"
)
async def test_a_task_that_others_depend_on_is_deleted_only_with_them(host: Host) -> None:
    first = await host.create("one", agentId="none")
    second = await host.create("two", agentId="none", dependsOn=[first])
    error = await host.fail("delete_task", id=first)
    deleted = await host.call("delete_task", id=first, cascade=True)
    assert (error["code"], error["dependents"]) == ("TASK_HAS_DEPENDENTS", [second])
    assert (set(deleted["deletedTaskIds"]), deleted["deletedCount"]) == ({first, second}, 2)
    assert (await host.fail("get_task", id=second))["code"] == "NOT_FOUND"


@pytest.mark.behaviour("get_task:sub_executions", "events:subagent")
async def test_a_sub_task_names_its_parent_and_its_moves_are_events_there(host: Host) -> None:
    parent = await host.create("all of it", agentId="none")
    child = await host.done("$ true", parentTaskId=parent, triggeringAgentId="a-1")
    shown = await host.call("get_task", id=parent, include=["events", "graph"])
    told = [event["data"] for event in shown["events"] if event["type"] == "subtask"]
    assert (child["parentTaskId"], child["triggeringAgentId"]) == (parent, "a-1")
    assert [event["status"] for event in told] == ["pending", "running", "completed"]
    assert {event["taskId"] for event in told} == {child["id"]}
    assert [(task["id"], task["status"]) for task in shown["graph"]["subtasks"]] == [(child["id"], "completed")]


async def test_a_cancelled_task_takes_its_sub_tasks_with_it(host: Host) -> None:
    parent = await host.create("all of it", agentId="none")
    child = await host.create("$ sleep 1000", parentTaskId=parent)
    await host.until(child, "running")
    await host.call("cancel_task", id=parent)
    assert (await host.call("get_task", id=child))["status"] == "cancelled"
    error = await host.fail("create_task", message="$ true", parentTaskId=parent)
    assert (error["code"], error["field"]) == ("CONFLICT", "parentTaskId")


@pytest.mark.behaviour("delete_task:subtasks")
async def test_a_deleted_task_takes_its_sub_tasks_with_it(host: Host) -> None:
    parent = await host.create("all of it", agentId="none")
    child = await host.create("$ sleep 1000", parentTaskId=parent)
    await host.until(child, "running")
    deleted = await host.call("delete_task", id=parent)
    assert set(deleted["deletedTaskIds"]) == {parent, child}


async def test_sub_tasks_go_only_as_deep_and_are_only_as_many_as_the_operator_allows(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_SUBTASKS__DEPTH="2", REMIT_SUBTASKS__COUNT="3") as host:
        root = await host.create("root", agentId="none")
        child = await host.create("child", agentId="none", parentTaskId=root)
        grandchild = await host.create("grandchild", agentId="none", parentTaskId=child)
        too_deep = await host.fail("create_task", message="x", agentId="none", parentTaskId=grandchild)
        await host.create("another", agentId="none", parentTaskId=child)
        too_many = await host.fail("create_task", message="x", agentId="none", parentTaskId=root)
    assert [(error["code"], error["field"], error["most"]) for error in (too_deep, too_many)] == [
        ("LIMIT_EXCEEDED", "parentTaskId", 2),
        ("LIMIT_EXCEEDED", "parentTaskId", 3),
    ]


@pytest.mark.behaviour(
    "get_task_graph:taskListId",
    "get_task_graph:taskCount",
    "get_task_graph:roots",
    "get_task_graph:leaves",
    "get_task_graph:summary",
    "get_task_graph:dependsOn",
    "get_task_graph:dependents",
)
async def test_the_graph_of_a_list_has_roots_leaves_and_both_directions(host: Host) -> None:
    first = await host.create("one", agentId="none", taskListId="graph-1", title="One")
    second = await host.create("two", agentId="none", taskListId="graph-1", dependsOn=[first])
    alone = await host.create("three", agentId="none", taskListId="graph-1")
    graph = await host.call("get_task_graph", taskListId="graph-1")
    assert (graph["taskListId"], graph["taskCount"], graph["hasMore"]) == ("graph-1", 3, False)
    assert (graph["roots"], graph["leaves"]) == ([first, alone], [second, alone])
    assert graph["graph"][first] == {
        "summary": {"title": "One", "status": "pending"},
        "dependsOn": [],
        "dependents": [second],
    }


async def test_a_list_nobody_has_named_has_an_empty_graph(host: Host) -> None:
    graph = await host.call("get_task_graph", taskListId="graph-none")
    assert (graph["taskCount"], graph["roots"], graph["graph"]) == (0, [], {})


@pytest.mark.behaviour("get_task:status:paused")
async def test_a_task_pauses_after_its_calls_and_goes_on_when_asked(host: Host) -> None:
    task_id = await host.create("$ echo 1\n$ echo 2\n$ echo 3", maxCalls=1)
    paused = await host.until(task_id, "paused")
    refused = await host.fail("send_message", id=task_id, message="$ and more")
    await host.call("send_message", id=task_id)
    again = await host.until(task_id, "paused")
    await host.call("update_task", id=task_id, maxCalls=9)
    task = await host.until(task_id, "completed")
    assert (paused["output"]["content"], again["output"]["content"]) == ("1\n", "1\n2\n")
    assert (refused["code"], task["result"], task["maxCalls"]) == ("CONFLICT", "1\n2\n3\n", 9)


@pytest.mark.behaviour("create_task:showInHistory", "get_task:messageCount")
async def test_tasks_of_one_conversation_share_its_messages(host: Host) -> None:
    first = await host.done("$ echo one")
    hidden = await host.done("$ echo hidden", conversationId=first["conversationId"], showInHistory=False)
    second = await host.done("$ echo two", conversationId=first["conversationId"])
    shown = await host.call("get_task", id=second["id"], include=["messages"])
    assert [message["content"] for message in shown["messages"]] == ["$ echo one", "one\n", "$ echo two", "two\n"]
    assert [message.get("taskId") for message in shown["messages"]] == [first["id"], first["id"], None, None]
    assert (shown["messageCount"], hidden["messageCount"]) == (4, 4)
    assert shown["conversationId"] == first["conversationId"]
    assert shown["sessionId"] != first["sessionId"]


async def test_a_conversation_that_is_not_there_cannot_be_joined(host: Host) -> None:
    error = await host.fail("create_task", message="$ true", conversationId="nowhere")
    assert (error["code"], error["field"]) == ("NOT_FOUND", "conversationId")


async def test_dependants_are_freed_after_a_restart_too(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        first = await host.create("one", agentId="none")
        second = await host.create("$ echo two", dependsOn=[first])
        await host.call("get_task", id=second)
    servers.kill(killed_home)
    async with servers.host(killed_home) as host:
        await host.call("update_task", id=first, status="completed")
        assert (await host.until(second, "completed"))["result"] == "two\n"


async def test_the_graph_of_a_task_that_many_wait_for_stays_small(host: Host) -> None:
    first = await host.create("one", agentId="none", taskListId="graph-2")
    for _ in range(120):
        await host.create("another" * 20, agentId="none", taskListId="graph-2", dependsOn=[first])
    page = await host.call("get_task_graph", taskListId="graph-2", limit=1)
    node = page["graph"][first]
    assert len(node["dependents"]) + node["omittedDependents"] == 120
    assert "omittedDependencies" not in node
    assert len(json.dumps(page, separators=(",", ":"))) < 3000
