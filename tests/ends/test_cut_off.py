"""Calls that were cut off, with their output, and calls that were not reached."""

from typing import Any

from tests.servers import Host

MESSAGE = "$ touch begun; echo deployed; sleep 60\n$ echo never"


def calls(task: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Status, output and reason of each call."""
    return [(call["status"], call.get("output", ""), call.get("reason", "")) for call in task["output"]["toolCalls"]]


async def test_a_call_that_is_cut_off_by_the_time_limit_is_told_as_cut_off(host: Host) -> None:
    task = await host.done(MESSAGE, timeoutSeconds=1)
    assert (task["status"], task["errorCode"]) == ("failed", "TIMEOUT")
    assert calls(task) == [
        ("error", "deployed\n", "cut off at the task's limit of time (timeoutSeconds)"),
        ("cancelled", "", "not reached"),
    ]


async def test_a_call_that_is_cut_off_by_a_cancellation_is_told_apart_from_one_that_was_not_made(host: Host) -> None:
    task_id = await host.create(MESSAGE)
    await host.said(task_id, "deployed")
    await host.call("cancel_task", id=task_id)
    assert calls(await host.until(task_id, "cancelled")) == [
        ("error", "deployed\n", "cut off when the task was cancelled"),
        ("cancelled", "", "not reached: the task was cancelled"),
    ]


async def test_a_call_that_waits_for_approval_is_not_told_as_cut_off(host: Host) -> None:
    task_id, _ = await host.waiting("$ echo never")
    await host.call("cancel_task", id=task_id)
    ((status, output, _),) = calls(await host.until(task_id, "cancelled"))
    assert (status, output) == ("cancelled", "")
