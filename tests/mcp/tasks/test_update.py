"""Reports on a task: the fields that they set, clear and leave alone."""

from typing import Any

import pytest

from tests.servers import Host


async def record(host: Host, **arguments: Any) -> str:
    return await host.create("write the report", agentId="none", **arguments)


async def reported(host: Host, task_id: str, **changes: Any) -> dict[str, Any]:
    """Return the task after a change."""
    await host.call("update_task", id=task_id, **changes)
    return await host.call("get_task", id=task_id)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        pytest.param("pending", "pending", marks=pytest.mark.behaviour("update_task:status:pending")),
        pytest.param("queued", "pending", marks=pytest.mark.behaviour("update_task:status:queued")),
        pytest.param("in_progress", "running", marks=pytest.mark.behaviour("update_task:status:in_progress")),
        pytest.param("executing", "running", marks=pytest.mark.behaviour("update_task:status:executing")),
        pytest.param("running", "running"),
        pytest.param("completed", "completed", marks=pytest.mark.behaviour("update_task:status:completed")),
        pytest.param("failed", "failed", marks=pytest.mark.behaviour("update_task:status:failed")),
        pytest.param("error", "failed", marks=pytest.mark.behaviour("update_task:status:error")),
        pytest.param("cancelled", "cancelled", marks=pytest.mark.behaviour("update_task:status:cancelled")),
        pytest.param("stopped", "cancelled", marks=pytest.mark.behaviour("update_task:status:stopped")),
    ],
)
async def test_a_report_takes_every_word_for_a_state(host: Host, word: str, status: str) -> None:
    task_id = await record(host)
    await host.call("update_task", id=task_id, status="blocked")
    assert (await reported(host, task_id, status=word))["status"] == status


@pytest.mark.behaviour("update_task:sets:startedAt")
async def test_the_first_report_of_work_sets_the_start_and_a_later_one_leaves_it(host: Host) -> None:
    task_id = await record(host)
    first = await reported(host, task_id, status="in_progress")
    again = await reported(host, task_id, status="in_progress")
    assert first["createdAt"] <= first["startedAt"] == again["startedAt"]
    assert again["completedAt"] is None


@pytest.mark.parametrize(
    "status",
    [
        pytest.param("completed", marks=pytest.mark.behaviour("update_task:sets:completedAt:completed")),
        pytest.param("failed", marks=pytest.mark.behaviour("update_task:sets:completedAt:failed")),
        pytest.param("cancelled", marks=pytest.mark.behaviour("update_task:sets:completedAt:cancelled")),
    ],
)
async def test_the_report_of_an_end_sets_its_time(host: Host, status: str) -> None:
    task = await reported(host, await record(host), status=status)
    assert task["createdAt"] <= task["completedAt"] == task["lastActivityAt"] == task["updatedAt"]


@pytest.mark.parametrize(
    "status",
    [
        pytest.param("in_progress", marks=pytest.mark.behaviour("update_task:clears:in_progress")),
        pytest.param("pending", marks=pytest.mark.behaviour("update_task:clears:pending")),
    ],
)
@pytest.mark.behaviour("update_task:sets:blockedAt", "update_task:status:blocked", "update_task:blockedReason")
async def test_what_was_said_of_being_blocked_goes_with_it(host: Host, status: str) -> None:
    task_id = await record(host)
    blocked = await reported(host, task_id, status="blocked", blockedReason="waits for the customer")
    after = await reported(host, task_id, status=status)
    assert (blocked["status"], blocked["blockedReason"]) == ("blocked", "waits for the customer")
    assert blocked["blockedAt"] == blocked["updatedAt"]
    assert not {"blockedReason", "blockedAt", "blockedByTaskIds"} & set(after)


@pytest.mark.behaviour("update_task:partial")
async def test_what_a_change_does_not_name_stays_as_it_is(host: Host) -> None:
    labels = {"title": "t", "description": "d", "taskListId": "l", "assignedAgentId": "a", "metadata": {"k": 1}}
    task_id = await record(host, **labels)
    before = await host.call("get_task", id=task_id)
    after = await reported(host, task_id, progress=0.5)
    changed = {"progress", "updatedAt", "lastEvent"}
    assert {name for name in before | after if before.get(name) != after.get(name)} == changed


@pytest.mark.behaviour("update_task:progress:0_to_1")
async def test_progress_may_be_none_and_all(host: Host) -> None:
    task_id = await record(host)
    assert [(await reported(host, task_id, progress=part))["progress"] for part in (0, 1)] == [0, 1]
    for part in (-0.01, 1.01):
        assert (await host.fail("update_task", id=task_id, progress=part))["field"] == "progress"


@pytest.mark.behaviour("update_task:internalStatus:apart", "update_task:internalStatus:255")
async def test_an_internal_status_of_255_characters_leaves_the_status_alone(host: Host) -> None:
    task_id = await record(host)
    task = await reported(host, task_id, internalStatus="ü" * 255)
    assert (task["status"], task["internalStatus"]) == ("pending", "ü" * 255)
    assert (await host.fail("update_task", id=task_id, internalStatus="ü" * 256))["field"] == "internalStatus"


@pytest.mark.behaviour("update_task:taskListId", "update_task:assignedAgentId")
async def test_a_task_moves_to_another_list_and_another_agent(host: Host) -> None:
    task_id = await record(host, taskListId="from", assignedAgentId="a-1")
    task = await reported(host, task_id, taskListId="to", assignedAgentId="a-2")
    assert (task["taskListId"], task["assignedAgentId"]) == ("to", "a-2")
    page = await host.call("list_tasks", taskListId="to", assignedAgentId="a-2")
    assert [found["id"] for found in page["tasks"]] == [task_id]


@pytest.mark.behaviour("update_task:not_found")
async def test_a_change_of_no_task_is_not_found(host: Host) -> None:
    assert (await host.fail("update_task", id="unknown", title="new"))["code"] == "NOT_FOUND"


@pytest.mark.behaviour("delete_task:cascade", "delete_task:has_dependents")
async def test_a_deletion_with_cascade_takes_the_dependants_of_dependants_too(host: Host) -> None:
    first = await record(host)
    second = await record(host, dependsOn=[first])
    third = await record(host, dependsOn=[second])
    await record(host, dependsOn=[first])
    error = await host.fail("delete_task", id=first)
    assert (error["code"], error["count"], "2 other tasks" in error["message"]) == ("TASK_HAS_DEPENDENTS", 2, True)
    deleted = await host.call("delete_task", id=first, cascade=True)
    assert (deleted["deletedCount"], deleted["deletedTaskIds"][-1], third in deleted["deletedTaskIds"]) == (
        4,
        first,
        True,
    )


@pytest.mark.behaviour("cancel_task:idempotent")
@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
async def test_cancelling_what_has_ended_changes_nothing(host: Host, status: str) -> None:
    task_id = await record(host)
    ended = await reported(host, task_id, status=status)
    assert await host.call("cancel_task", id=task_id) == {"id": task_id, "status": status}
    assert await host.call("get_task", id=task_id) == ended


@pytest.mark.behaviour("cancel_task:answer", "cancel_task:delete")
async def test_a_cancelled_task_is_still_there(host: Host) -> None:
    task_id = await record(host)
    assert await host.call("cancel_task", id=task_id) == {"id": task_id, "status": "cancelled"}
    assert (await host.call("get_task", id=task_id))["status"] == "cancelled"
