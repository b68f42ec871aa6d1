"""Lists: the tasks in them, their counts, and the fields of each task."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.servers import Host


async def record(host: Host, **arguments: Any) -> str:
    return await host.create("a record", agentId="none", **arguments)


async def row(host: Host, **filters: Any) -> dict[str, Any]:
    """Return the only task of a list."""
    (found,) = (await host.call("list_tasks", **filters))["tasks"]
    return dict(found)


async def many(host: Host) -> str:
    """Return the name of a list of 51 tasks, the same for every test."""
    for number in range(51):
        await record(host, taskListId="51", idempotencyKey=f"51-{number}")
    return "51"


async def one_of_each(host: Host) -> dict[str, str]:
    """Return the ids of a list that has a task in every state, the same for every test."""
    words = ("pending", "running", "completed", "failed", "cancelled")
    ids = {word: await record(host, taskListId="each", idempotencyKey=f"each-{word}") for word in words}
    for word in words[1:]:
        await host.call("update_task", id=ids[word], status=word)
    pending = ids["pending"]
    ids["blocked"] = await record(host, taskListId="each", idempotencyKey="each-blocked", dependsOn=[pending])
    for word, arguments in (("awaiting_approval", {"autoExecute": False}), ("paused", {"maxCalls": 1})):
        ids[word] = await host.create("$ true\n$ true", taskListId="each", idempotencyKey=f"each-{word}", **arguments)
        await host.until(ids[word], word)
    return ids


@pytest.mark.behaviour(
    "list_tasks:limit:default_50",
    "list_tasks:offset:default_0",
    "list_tasks:answer:limit",
    "list_tasks:answer:offset",
    "list_tasks:answer:count",
    "list_tasks:answer:hasMore",
)
async def test_a_list_holds_fifty_tasks_from_the_first_unless_it_is_told(host: Host) -> None:
    page = await host.call("list_tasks", taskListId=await many(host))
    assert (len(page["tasks"]), page["count"], page["total"]) == (50, 50, 51)
    assert (page["limit"], page["offset"], page["hasMore"]) == (50, 0, True)


@pytest.mark.behaviour("list_tasks:limit:at_most_100")
async def test_a_list_holds_a_hundred_tasks_at_most(host: Host) -> None:
    page = await host.call("list_tasks", taskListId=await many(host), limit=100)
    assert (page["count"], page["limit"], page["hasMore"]) == (51, 100, False)
    page = await host.call("list_tasks", taskListId=await many(host), limit=101)
    assert (page["count"], page["limit"]) == (51, 100)


@pytest.mark.behaviour("list_tasks:perPage:default_20", "list_tasks:answer:totalPages")
async def test_a_page_holds_twenty_tasks_unless_it_is_told(host: Host) -> None:
    page = await host.call("list_tasks", taskListId=await many(host), page=3)
    assert (page["count"], page["perPage"], page["totalPages"], page["hasMore"]) == (11, 20, 3, False)


@pytest.mark.behaviour("list_tasks:page:default_1", "list_tasks:perPage:at_most_50")
async def test_a_page_holds_fifty_tasks_at_most_and_is_the_first_unless_it_is_told(host: Host) -> None:
    page = await host.call("list_tasks", taskListId=await many(host), perPage=50)
    assert (page["count"], page["page"], page["totalPages"], page["hasMore"]) == (50, 1, 2, True)
    assert (await host.call("list_tasks", taskListId=await many(host), perPage=51))["perPage"] == 50


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        pytest.param({"limit": 0}, "limit", marks=pytest.mark.behaviour("list_tasks:limit:at_least_1")),
        pytest.param({"page": 0}, "page", marks=pytest.mark.behaviour("list_tasks:page:at_least_1")),
        pytest.param({"perPage": 0}, "perPage", marks=pytest.mark.behaviour("list_tasks:perPage:at_least_1")),
        pytest.param({"status": "nonsense"}, "status", marks=pytest.mark.behaviour("list_tasks:status:unknown")),
        pytest.param({"toDate": "2026-13-01"}, "toDate", marks=pytest.mark.behaviour("list_tasks:dates:invalid")),
        pytest.param({"dependsOn": "no uuid"}, "dependsOn", marks=pytest.mark.behaviour("list_tasks:dependsOn:uuid")),
    ],
)
async def test_what_no_list_can_be_asked_for_is_named(host: Host, arguments: dict[str, Any], field: str) -> None:
    error = await host.fail("list_tasks", **arguments)
    assert error["field"].startswith(field)
    assert error["code"] == ("NOT_FOUND" if field == "dependsOn" else "VALIDATION_ERROR")


@pytest.mark.behaviour("list_tasks:validation")
async def test_each_bad_argument_of_several_is_told(host: Host) -> None:
    error = await host.fail("list_tasks", limit=0, offset=-1)
    assert error["code"] == "VALIDATION_ERROR"
    assert all(f"{problem['field']}: {problem['message']}" in error["message"] for problem in error["problems"])
    assert [set(problem) for problem in error["problems"]] == [{"field", "message"}] * 2
    assert [problem["field"] for problem in error["problems"]] == ["limit", "offset"]


@pytest.mark.behaviour("list_tasks:failure")
async def test_a_list_that_fails_is_an_answer_all_the_same(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        await record(host)
        with sqlite3.connect(own_home / "remit.db") as db:
            db.execute("DROP TABLE tallies")
        db.close()
        error = await host.fail("list_tasks")
    assert (error["code"], "tallies" in error["message"], set(error)) == ("EXECUTION_ERROR", True, {"code", "message"})


@pytest.mark.behaviour("list_tasks:order", "list_tasks:order:created")
async def test_a_new_task_comes_first_until_another_is_active(host: Host) -> None:
    first = await record(host, taskListId="order")
    second = await record(host, taskListId="order")
    before = await host.call("list_tasks", taskListId="order")
    await host.call("update_task", id=first, status="in_progress")
    after = await host.call("list_tasks", taskListId="order")
    searched = await host.call("list_tasks", taskListId="order", query="record")
    assert [task["id"] for task in before["tasks"]] == [second, first]
    assert [task["id"] for task in after["tasks"]] == [first, second]
    assert [task["id"] for task in searched["tasks"]] == [second, first]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        pytest.param("pending", {"pending"}, marks=pytest.mark.behaviour("list_tasks:status:pending")),
        pytest.param("queued", {"pending"}, marks=pytest.mark.behaviour("list_tasks:status:queued")),
        pytest.param("blocked", {"blocked"}, marks=pytest.mark.behaviour("list_tasks:status:blocked")),
        pytest.param("running", {"running"}, marks=pytest.mark.behaviour("list_tasks:status:running")),
        pytest.param(
            "in_progress",
            {"running", "awaiting_approval"},
            marks=pytest.mark.behaviour("list_tasks:status:in_progress", "list_tasks:row:status:in_progress"),
        ),
        pytest.param(
            "executing",
            {"running", "awaiting_approval"},
            marks=pytest.mark.behaviour("list_tasks:status:executing"),
        ),
        pytest.param("awaiting_approval", {"awaiting_approval"}),
        pytest.param("paused", {"paused"}, marks=pytest.mark.behaviour("list_tasks:status:paused")),
        pytest.param("completed", {"completed"}, marks=pytest.mark.behaviour("list_tasks:status:completed")),
        pytest.param("failed", {"failed"}, marks=pytest.mark.behaviour("list_tasks:status:failed")),
        pytest.param("error", {"failed"}, marks=pytest.mark.behaviour("list_tasks:status:error")),
        pytest.param("cancelled", {"cancelled"}, marks=pytest.mark.behaviour("list_tasks:status:cancelled")),
        pytest.param("stopped", {"cancelled"}, marks=pytest.mark.behaviour("list_tasks:status:stopped")),
    ],
)
async def test_a_word_for_a_state_finds_the_tasks_that_are_in_it(host: Host, word: str, expected: set[str]) -> None:
    ids = await one_of_each(host)
    page = await host.call("list_tasks", taskListId="each", status=word)
    assert {task["id"]: task["status"] for task in page["tasks"]} == {ids[state]: state for state in expected}
    assert page["total"] == len(expected)


@pytest.mark.behaviour("list_tasks:parentTaskId", "list_tasks:row:parentTaskId")
async def test_a_list_can_be_of_sub_tasks(host: Host) -> None:
    parent = await record(host)
    child = await record(host, parentTaskId=parent)
    await record(host, parentTaskId=child)
    found = await row(host, parentTaskId=parent)
    assert (found["id"], found["parentTaskId"]) == (child, parent)


@pytest.mark.behaviour("list_tasks:agentId", "list_tasks:row:agentId")
async def test_a_list_can_be_of_one_agents_tasks(host: Host) -> None:
    executed = (await host.done("$ true", taskListId="agents"))["id"]
    shared = await record(host, taskListId="agents")
    assert (await row(host, taskListId="agents", agentId="shell"))["id"] == executed
    assert (await row(host, taskListId="agents", agentId="none"))["id"] == shared
    assert (await row(host, taskListId="agents", agentId="none"))["agentId"] == "none"


@pytest.mark.behaviour("list_tasks:dates:range", "list_tasks:fromDate", "list_tasks:toDate")
async def test_dates_cut_off_what_was_created_before_and_after(host: Host) -> None:
    ids = [await record(host, taskListId="dates") for _ in range(3)]
    times = [(await host.call("get_task", id=task_id))["createdAt"] for task_id in ids]
    within = [task_id for task_id, at in zip(ids, times, strict=True) if at == times[1]]
    later = [task_id for task_id, at in zip(ids, times, strict=True) if at >= times[1]]
    earlier = [task_id for task_id, at in zip(ids, times, strict=True) if at <= times[1]]
    for dates, expected in (
        ({"fromDate": times[1]}, later),
        ({"toDate": times[1]}, earlier),
        ({"fromDate": times[1], "toDate": times[1]}, within),
    ):
        page = await host.call("list_tasks", taskListId="dates", **dates)
        assert [task["id"] for task in page["tasks"]] == expected[::-1]


@pytest.mark.behaviour("list_tasks:answer:total", "list_tasks:answer:total:filtered")
async def test_a_total_counts_all_that_match_and_not_the_page_alone(host: Host) -> None:
    everything = (await host.call("list_tasks", limit=1))["total"]
    for status in ("pending", "completed", "completed"):
        await host.call("update_task", id=await record(host, taskListId="totals"), status=status)
    page = await host.call("list_tasks", taskListId="totals", status="completed", limit=1)
    assert (page["count"], page["total"]) == (1, 2)
    assert (await host.call("list_tasks", limit=1))["total"] == everything + 3


@pytest.mark.behaviour(
    "list_tasks:answer:tasks",
    "list_tasks:answer:items",
    "list_tasks:row:null",
    "list_tasks:row:showInHistory",
    "list_tasks:row:autoExecute",
    "list_tasks:row:apiKeyId",
    "list_tasks:row:sessionId",
    "list_tasks:row:systemPrompt",
    "list_tasks:row:env",
    "list_tasks:row:taskId",
    "list_tasks:row:orgId",
    "list_tasks:row:organizationId",
    "list_tasks:row:userId",
)
async def test_a_row_says_what_there_is_and_the_page_whose_it_is(host: Host) -> None:
    await record(host, taskListId="bare", systemPrompt="be brief", env={"A": "1"})
    page = await host.call("list_tasks", taskListId="bare")
    always = """id title status message agentId username conversationId createdAt startedAt completedAt updatedAt
        lastActivityAt messageCount"""
    assert set(page["tasks"][0]) == {*always.split(), "taskListId", "sourceNodeType"}
    assert page | {"tasks": []} == {
        "tasks": [],
        "count": 1,
        "total": 1,
        "limit": 50,
        "offset": 0,
        "hasMore": False,
        "userId": "local",
        "organizationId": "local",
    }


@pytest.mark.behaviour(
    "list_tasks:row:id",
    "list_tasks:row:username",
    "list_tasks:row:conversationId",
    "list_tasks:row:status",
    "list_tasks:row:title",
    "list_tasks:row:createdAt",
    "list_tasks:row:startedAt",
    "list_tasks:row:completedAt",
    "list_tasks:row:updatedAt",
    "list_tasks:row:progress",
    "list_tasks:row:triggeringAgentId",
)
async def test_a_row_says_the_same_as_the_task_itself(host: Host) -> None:
    task_id = await record(host, taskListId="same", title="a title", triggeringAgentId="t-1", assignedAgentId="a-1")
    stages: tuple[dict[str, Any], ...] = ({}, {"status": "running", "progress": 0.5}, {"status": "completed"})
    for changes in stages:
        await host.call("update_task", id=task_id, description="about it", **changes)
        task = await host.call("get_task", id=task_id)
        found = await row(host, taskListId="same")
        assert found == {name: task[name] for name in found}
        assert {"title", "description", "triggeringAgentId", "assignedAgentId"} <= set(found)
        assert ("progress" in found) == (changes != {})


@pytest.mark.behaviour("list_tasks:row:message", "list_tasks:row:result")
async def test_a_row_has_the_beginning_of_a_long_text(host: Host) -> None:
    task_id = await host.create("m" * 500, agentId="none", taskListId="long")
    await host.call("update_task", id=task_id, status="completed", result="r" * 500)
    found = await row(host, taskListId="long")
    assert [(text[0], text[-1], len(text) < 100) for text in (found["message"], found["result"])] == [
        ("m", "…", True),
        ("r", "…", True),
    ]


@pytest.mark.behaviour("list_tasks:row:error")
async def test_a_row_tells_why_a_task_has_failed(host: Host) -> None:
    task_id = await record(host, taskListId="error")
    assert "error" not in await row(host, taskListId="error")
    await host.call("update_task", id=task_id, status="failed", error="no such report")
    assert (await row(host, taskListId="error"))["error"] == "no such report"


@pytest.mark.behaviour("list_tasks:row:blockedReason", "list_tasks:row:blockedByTaskIds")
async def test_a_row_tells_what_a_task_waits_for(host: Host) -> None:
    first = await record(host)
    await record(host, taskListId="blocked", dependsOn=[first])
    found = await row(host, taskListId="blocked")
    assert (found["status"], found["blockedReason"], found["blockedByTaskIds"]) == ("blocked", "DEPENDENCIES", [first])
    assert "omittedBlockers" not in found


async def test_a_row_counts_what_it_does_not_name_of_that(host: Host) -> None:
    needed = [await record(host) for _ in range(5)]
    await record(host, taskListId="much blocked", dependsOn=needed)
    found = await row(host, taskListId="much blocked")
    assert len(found["blockedByTaskIds"]) + found["omittedBlockers"] == 5


@pytest.mark.behaviour(
    "list_tasks:row:lastActivityAt:created",
    "list_tasks:row:lastActivityAt:started",
    "list_tasks:row:lastActivityAt:completed",
)
async def test_the_last_activity_is_the_latest_of_creation_start_and_end(host: Host) -> None:
    task_id = await record(host, taskListId="activity")
    for status, time in (("pending", "createdAt"), ("in_progress", "startedAt"), ("completed", "completedAt")):
        await host.call("update_task", id=task_id, status=status)
        await host.call("update_task", id=task_id, title=status)  # which is no activity
        found = await row(host, taskListId="activity")
        assert found["lastActivityAt"] == found[time]


@pytest.mark.behaviour("list_tasks:row:lastActivityAt:follow_up")
async def test_the_last_activity_never_goes_back(host: Host) -> None:
    task_id = await record(host, taskListId="again")
    await host.call("update_task", id=task_id, status="completed")
    ended = await row(host, taskListId="again")
    await host.call("send_message", id=task_id, message="once more")
    again = await row(host, taskListId="again")
    assert (again["startedAt"], again["completedAt"]) == (None, None)
    assert again["lastActivityAt"] == ended["completedAt"]


@pytest.mark.behaviour("list_tasks:row:messageCount", "list_tasks:row:messageCount:zero")
async def test_a_row_counts_the_messages_of_the_conversation(host: Host) -> None:
    first = await record(host, taskListId="counted")
    before = await row(host, taskListId="counted")
    await host.call("update_task", id=first, status="completed", result="done")
    await record(host, conversationId=before["conversationId"])
    assert (before["messageCount"], (await row(host, taskListId="counted"))["messageCount"]) == (1, 3)


@pytest.mark.behaviour("list_tasks:three_filters", "list_tasks:taskListId:status")
async def test_a_list_a_state_and_an_agent_narrow_together(host: Host) -> None:
    mine = await record(host, taskListId="three", assignedAgentId="a-1")
    others = await record(host, taskListId="three", assignedAgentId="a-2")
    await record(host, taskListId="three", assignedAgentId="a-1")
    for task_id in (mine, others):
        await host.call("update_task", id=task_id, status="in_progress")
    page = await host.call("list_tasks", taskListId="three", status="in_progress")
    assert {task["id"] for task in page["tasks"]} == {mine, others}
    found = await row(host, taskListId="three", status="in_progress", assignedAgentId="a-1")
    assert found["id"] == mine
