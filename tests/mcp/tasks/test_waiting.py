"""Waits end when a task has ended or needs someone, say how far it is meanwhile, and show what is new."""

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests import servers
from tests.mcp.tasks.test_get import until_shown
from tests.servers import Host


async def told(host: Host, **arguments: Any) -> tuple[dict[str, Any], str]:
    """Return a task, and the first block of its text."""
    result = await host.client.call_tool("get_task", arguments)
    assert result.structured_content
    return result.structured_content, str(result.content[0].model_dump()["text"])


async def test_a_wait_does_not_end_when_a_blocked_task_starts(host: Host) -> None:
    first, call_id = await host.waiting("$ true")
    second = await host.create("$ sleep 0.5; echo done", dependsOn=[first])
    async with anyio.create_task_group() as group:
        group.start_soon(host.decide, first, call_id, "proceed_once")
        task = await host.call("get_task", id=second, waitSeconds=40)
    assert (task["status"], task["output"]["content"]) == ("completed", "done\n")


async def test_a_wait_with_an_event_is_for_the_end_unless_events_are_read(host: Host) -> None:
    task_id = await host.create("$ echo one; sleep 0.5; echo two")
    seen = (await until_shown(host, task_id, "one"))["lastEvent"]
    task = await host.call("get_task", id=task_id, waitSeconds=40, afterEvent=seen)
    assert (task["status"], task["output"]["content"]) == ("completed", "two\n")


async def test_a_wait_does_not_end_at_a_question_that_is_known(host: Host) -> None:
    task_id, call_id = await host.waiting("$ echo decided")
    seen = (await host.call("get_task", id=task_id))["lastEvent"]
    async with anyio.create_task_group() as group:
        group.start_soon(host.decide, task_id, call_id, "proceed_once")
        task = await host.call("get_task", id=task_id, waitSeconds=40, afterEvent=seen)
    assert task["status"] == "completed"


async def test_a_longer_wait_than_hosts_allow_is_shortened_and_said(host: Host) -> None:
    done = await host.done("$ true")
    task, text = await told(host, id=done["id"], waitSeconds=60)
    (warning,) = task["warnings"]
    assert warning.startswith("waitSeconds: 60 is more than 45")
    assert f"Warning: {warning}" in text


@pytest.mark.parametrize("seconds", [-1, "nan", "inf"])
async def test_a_wait_that_is_no_time_is_refused(host: Host, seconds: object) -> None:
    error = await host.fail("get_task", id="x", waitSeconds=seconds)
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "waitSeconds")


async def test_a_wait_in_vain_shows_only_what_came_meanwhile(host: Host) -> None:
    task_id = await host.create("$ echo before; sleep 60", title="a title")
    before = await until_shown(host, task_id, "before")
    task, text = await told(host, id=task_id, waitSeconds=0.2)
    assert (task["status"], task["afterEvent"]) == ("running", before["lastEvent"])
    assert (task["output"]["content"], task["output"]["omittedBefore"]) == ("", 7)
    assert not {"message", "systemPrompt", "env", "title", "userId"} & set(task)
    assert f"There is no output that came after event {before['lastEvent']}." in text
    await host.call("cancel_task", id=task_id)


async def test_after_an_event_only_what_is_new_is_shown(host: Host) -> None:
    task_id, first = await host.waiting("$ echo one\n$ echo two\n$ echo three", env={"A": "1"})
    await host.decide(task_id, first, "proceed_once")
    second = await host.waiting_call(task_id)
    seen = (await host.call("get_task", id=task_id))["lastEvent"]
    await host.decide(task_id, second, "proceed_once")
    third = await host.waiting_call(task_id)
    task = await host.call("get_task", id=task_id, afterEvent=seen)
    assert (task["output"]["content"], task["output"]["omittedBefore"]) == ("two\n", 4)
    assert [call["callId"] for call in task["output"]["toolCalls"]] == [second, third]
    assert [call["callId"] for call in task["pendingApprovals"]] == [third]
    assert not {"message", "env"} & set(task)


async def test_after_the_last_event_there_is_nothing_new(host: Host) -> None:
    done = await host.done("$ echo one")
    task = await host.call("get_task", id=done["id"], afterEvent=done["lastEvent"])
    assert (task["output"]["content"], task["output"]["toolCalls"]) == ("", [])


async def test_after_an_event_of_an_earlier_turn_the_whole_turn_is_new(host: Host) -> None:
    first = await host.done("$ echo one")
    await host.call("send_message", id=first["id"], message="$ echo two")
    await host.until(first["id"], "completed")
    task = await host.call("get_task", id=first["id"], afterEvent=2)
    assert (task["output"]["content"], len(task["output"]["toolCalls"])) == ("two\n", 1)
    assert "omittedBefore" not in task["output"]


async def test_a_result_that_was_reported_is_new_after_the_event_before_it(host: Host) -> None:
    task_id = await host.create("a record", agentId="none")
    seen = (await host.call("get_task", id=task_id))["lastEvent"]
    await host.call("update_task", id=task_id, status="completed", result="all of it")
    task = await host.call("get_task", id=task_id, afterEvent=seen)
    assert task["output"]["content"] == task["result"] == "all of it"
    assert (await host.call("get_task", id=task_id, afterEvent=task["lastEvent"]))["output"]["content"] == ""


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_progress_is_told_while_a_task_is_waited_for(shared_home: Path, mode: str) -> None:
    heard: list[tuple[float, str]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message or ""))

    async with servers.host(shared_home, mode=mode) as host:
        task_id, call_id = await host.waiting("$ echo step 1; echo; until [ -e go ]; do sleep 0.1; done")
        await host.decide(task_id, call_id, "proceed_once")
        await until_shown(host, task_id, "step 1")
        with anyio.fail_after(servers.PATIENCE):
            await host.client.call_tool("get_task", {"id": task_id, "waitSeconds": 3}, progress_callback=hear)
        await host.call("cancel_task", id=task_id)
    numbers = [progress for progress, _ in heard]
    assert len(heard) >= 2
    assert numbers == sorted(set(numbers))
    assert all(re.fullmatch(r"running, 0 of 1 calls, \d+ s: step 1", message) for _, message in heard)


async def test_who_does_not_ask_for_progress_hears_none(host: Host) -> None:
    task_id, _ = await host.waiting("$ true")
    seen = (await host.call("get_task", id=task_id))["lastEvent"]
    task = await host.call("get_task", id=task_id, waitSeconds=1.5, afterEvent=seen)
    assert task["status"] == "awaiting_approval"
