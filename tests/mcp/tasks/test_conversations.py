"""The messages of conversations."""

import pytest

from tests.servers import Host


@pytest.mark.behaviour(
    "messages:order",
    "messages:role",
    "messages:content",
    "messages:createdAt",
    "messages:created_at",
    "messages:no_calls",
    "messages:id",
    "messages:details",
    "messages:conversationId",
    "messages:status",
)
async def test_a_conversation_is_what_was_asked_and_answered_in_order(host: Host) -> None:
    task = await host.done("$ echo one\n$ echo two", files=[{"path": "a", "content": ""}])
    await host.call("send_message", id=task["id"], message="$ echo three")
    task = await host.until(task["id"], "completed", include=["messages"])
    messages = task["messages"]
    assert [(message["role"], message["content"]) for message in messages] == [
        ("user", "$ echo one\n$ echo two"),
        ("assistant", "one\ntwo\n"),
        ("user", "$ echo three"),
        ("assistant", "three\n"),
    ]
    assert (task["status"], bool(task["conversationId"])) == ("completed", True)
    assert {name for message in messages for name in message} == {"role", "content", "createdAt"}
    times = [message["createdAt"] for message in messages]
    assert times == sorted(times)
    assert (times[0], times[-1]) == (task["createdAt"], task["completedAt"])


async def test_after_an_event_there_are_only_the_messages_that_came_later(host: Host) -> None:
    task = await host.done("$ echo one")
    news = {"include": ["messages"], "afterEvent": task["lastEvent"]}
    assert (await host.call("get_task", id=task["id"], **news))["messages"] == []
    await host.call("send_message", id=task["id"], message="$ echo two")
    task = await host.until(task["id"], "completed", **news)
    assert [message["content"] for message in task["messages"]] == ["$ echo two", "two\n"]
    assert "omittedMessages" not in task


@pytest.mark.behaviour("messages:subtasks", "messages:taskId")
async def test_a_sub_task_has_a_conversation_of_its_own(host: Host) -> None:
    parent = await host.create("all of it", agentId="none")
    child = await host.create("a part", agentId="none", parentTaskId=parent)
    joined = await host.call("get_task", id=parent)
    other = await host.create("more", agentId="none", conversationId=joined["conversationId"])
    shown = [await host.call("get_task", id=task_id, include=["messages"]) for task_id in (parent, child)]
    assert [[message["content"] for message in task["messages"]] for task in shown] == [
        ["all of it", "more"],
        ["a part"],
    ]
    assert [message.get("taskId") for message in shown[0]["messages"]] == [None, other]
