"""Tasks that others do, and that assistants share: they are claimed and reported with update_task."""

from typing import Any

import pytest

from tests.servers import Host


async def record(host: Host, message: str = "write the report", **arguments: Any) -> str:
    return await host.create(message, agentId="none", **arguments)


async def test_a_task_of_nobody_waits_until_somebody_reports_on_it(host: Host) -> None:
    task = await host.call("get_task", id=await record(host))
    assert (task["status"], task["agentId"], "sandbox" in task) == ("pending", "none", False)


@pytest.mark.behaviour("update_task:sets:startedAt")
async def test_claiming_a_record_starts_it_and_sets_its_time(host: Host) -> None:
    task_id = await record(host)
    await host.call("update_task", id=task_id, status="in_progress", assignedAgentId="a-1")
    task = await host.call("get_task", id=task_id)
    assert (task["status"], task["assignedAgentId"]) == ("running", "a-1")
    assert task["startedAt"] == task["lastActivityAt"] >= task["createdAt"]


async def test_a_second_claim_learns_who_was_first(host: Host) -> None:
    task_id = await record(host)
    await host.call("update_task", id=task_id, status="in_progress", assignedAgentId="a-1")
    error = await host.fail("update_task", id=task_id, status="in_progress", assignedAgentId="a-2")
    assert (error["code"], error["assignedAgentId"]) == ("CONFLICT", "a-1")


@pytest.mark.behaviour(
    "update_task:progress",
    "update_task:progressMessage",
    "update_task:internalStatus",
    "get_task:progress",
    "get_task:progressMessage",
    "get_task:internalStatus",
)
async def test_progress_and_internal_status_are_shown(host: Host) -> None:
    task_id = await record(host)
    changes = {"progress": 0.5, "progressMessage": "half of it", "internalStatus": "reviewing"}
    await host.call("update_task", id=task_id, **changes)
    task = await host.call("get_task", id=task_id)
    assert {name: task[name] for name in changes} == changes


async def test_a_change_is_an_event_that_wakes_a_reader(host: Host) -> None:
    task_id = await record(host)
    last = (await host.call("get_task", id=task_id))["lastEvent"]
    await host.call("update_task", id=task_id, progress=0.25)
    task = await host.call("get_task", id=task_id, include=["events"], afterEvent=last, waitSeconds=20)
    assert [event["data"] for event in task["events"]] == [{"status": "pending", "progress": 0.25}]


@pytest.mark.behaviour("update_task:result", "get_task:result")
async def test_a_completed_record_carries_what_was_reported(host: Host) -> None:
    task_id = await record(host)
    answer = await host.call("update_task", id=task_id, status="completed", result="it is done")
    task = await host.call("get_task", id=task_id)
    assert (answer["status"], task["result"], task["output"]["content"]) == ("completed", "it is done", "it is done")
    assert task["startedAt"] <= task["completedAt"] == task["lastActivityAt"]


@pytest.mark.behaviour("update_task:error")
async def test_a_failed_record_carries_its_error(host: Host) -> None:
    task_id = await record(host)
    await host.call("update_task", id=task_id, status="failed", error="no such report")
    task = await host.call("get_task", id=task_id)
    assert (task["status"], task["error"], task["errorCode"]) == ("failed", "no such report", "EXECUTION_ERROR")


@pytest.mark.parametrize(
    ("status", "field"), [("completed", "result"), ("failed", "error"), ("blocked", "blockedReason")]
)
async def test_what_was_reported_can_be_corrected(host: Host, status: str, field: str) -> None:
    task_id = await record(host)
    await host.call("update_task", id=task_id, status=status, **{field: "the first"})
    before = await host.call("get_task", id=task_id)
    await host.call("update_task", id=task_id, status=status, **{field: "the second"})
    task = await host.call("get_task", id=task_id, include=["events"], afterEvent=before["lastEvent"])
    assert (before[field], task[field], task["status"]) == ("the first", "the second", status)
    assert any("the second" in event["data"].values() for event in task["events"])
    assert (task["completedAt"], task["messageCount"]) == (before["completedAt"], before["messageCount"])
    assert task["updatedAt"] > before["updatedAt"]


async def test_the_same_report_without_more_leaves_what_was_reported(host: Host) -> None:
    task_id = await record(host)
    await host.call("update_task", id=task_id, status="completed", result="it is done")
    await host.call("update_task", id=task_id, status="completed")
    assert (await host.call("get_task", id=task_id))["result"] == "it is done"


@pytest.mark.behaviour("get_task:blockedAt")
async def test_a_record_can_be_blocked_by_hand_and_goes_on(host: Host) -> None:
    task_id = await record(host)
    await host.call("update_task", id=task_id, status="blocked", blockedReason="waits for the customer")
    blocked = await host.call("get_task", id=task_id)
    await host.call("update_task", id=task_id, status="in_progress")
    task = await host.call("get_task", id=task_id)
    assert (blocked["status"], blocked["blockedReason"]) == ("blocked", "waits for the customer")
    assert blocked["blockedAt"] >= blocked["createdAt"]
    assert (task["status"], "blockedReason" in task, "blockedAt" in task) == ("running", False, False)


async def test_a_cancelled_record_has_ended_at_once(host: Host) -> None:
    task_id = await record(host)
    await host.call("update_task", id=task_id, status="in_progress")
    assert (await host.call("cancel_task", id=task_id))["status"] == "cancelled"


@pytest.mark.behaviour("update_task:status:reopened")
async def test_an_ended_record_goes_on_with_a_message_and_not_with_a_report(host: Host) -> None:
    task_id = await record(host)
    await host.call("update_task", id=task_id, status="completed")
    error = await host.fail("update_task", id=task_id, status="pending")
    answer = await host.call("send_message", id=task_id, message="once more")
    assert (error["code"], error["field"], "send_message" in error["message"]) == ("CONFLICT", "status", True)
    assert answer["status"] == "pending"


@pytest.mark.behaviour("update_task:status:executed_here")
async def test_the_status_of_a_task_that_is_executed_here_cannot_be_reported(host: Host) -> None:
    task_id, _ = await host.waiting("$ true")
    error = await host.fail("update_task", id=task_id, status="completed")
    assert (error["code"], error["field"]) == ("CONFLICT", "status")
    await host.call("cancel_task", id=task_id)


@pytest.mark.behaviour("update_task:title", "update_task:description", "update_task:metadata:replaced")
async def test_the_description_of_any_task_can_be_changed(host: Host) -> None:
    task = await host.done("$ true", title="old", taskListId="list-1", assignedAgentId="a-1", metadata={"k": 1, "l": 2})
    changes = {"title": "new", "description": "what it is about", "metadata": {"k": 3}}
    await host.call("update_task", id=task["id"], **changes)
    changed = await host.call("get_task", id=task["id"])
    assert {name: changed[name] for name in changes} == changes
    assert changed["updatedAt"] > task["updatedAt"]
    assert changed["lastActivityAt"] == task["lastActivityAt"]


@pytest.mark.behaviour("update_task:taskListId:null")
@pytest.mark.parametrize("nothing", [None, ""], ids=["null", "an empty text"])
async def test_a_task_is_taken_out_of_its_list_and_unassigned(host: Host, nothing: str | None) -> None:
    task_id = await record(host, taskListId="list-1", assignedAgentId="a-1")
    await host.call("update_task", id=task_id, taskListId=nothing, assignedAgentId=nothing)
    task = await host.call("get_task", id=task_id)
    assert ("taskListId" in task, "assignedAgentId" in task) == (False, False)


async def test_null_leaves_all_else_as_it_is(host: Host) -> None:
    task_id = await record(host, title="kept", description="kept too")
    await host.call("update_task", id=task_id, title=None, description=None, progress=0.1)
    task = await host.call("get_task", id=task_id)
    assert (task["title"], task["description"]) == ("kept", "kept too")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        pytest.param({"progress": 1.5}, "progress", id="more than all"),
        pytest.param({"progress": -0.1}, "progress", id="less than nothing"),
        pytest.param({"internalStatus": "x" * 256}, "internalStatus", id="an internal status too long"),
        pytest.param({"status": "awaiting_approval"}, "status", id="a status nobody can report"),
        pytest.param({"result": "done"}, "arguments", id="a result without its status"),
        pytest.param({"maxCalls": 3}, "maxCalls", id="a budget for nothing"),
        pytest.param({}, "arguments", id="nothing"),
        pytest.param({"status": "blocked", "blockedReason": "DEPENDENCIES"}, "blockedReason", id="the server's word"),
        pytest.param({"status": "blocked", "blockedReason": "SECRETS_LOST"}, "blockedReason", id="another of them"),
        pytest.param({"dependsOn": ["unknown"]}, "dependsOn", id="a dependency that is not there"),
    ],
)
async def test_a_bad_change_names_its_field_and_changes_nothing(
    host: Host, arguments: dict[str, Any], field: str
) -> None:
    task_id = await record(host)
    before = await host.call("get_task", id=task_id)
    error = await host.fail("update_task", id=task_id, **arguments)
    assert (error["field"], await host.call("get_task", id=task_id)) == (field, before)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("secrets", {"A": "value-1"}), ("files", [{"path": "a", "content": "b"}]), ("maxCalls", 3), ("timeoutSeconds", 9)],
)
async def test_a_record_takes_nothing_that_is_for_executing(host: Host, argument: str, value: Any) -> None:
    error = await host.fail("create_task", message="by others", agentId="none", **{argument: value})
    assert error["code"] == "VALIDATION_ERROR"
    assert argument in error["message"]
