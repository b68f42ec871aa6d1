"""Races between two windows: one of them wins, and nothing else happens."""

from typing import Any

import anyio

from tests.servers import Host

ROUNDS = 8
"""How often each pair meets: the tests cannot decide who comes first."""

READERS = 20
"""Others who read meanwhile, so that what one of the pair has read is old by the time it acts on it."""


async def ask(host: Host, tool: str, arguments: dict[str, Any]) -> None:
    await host.client.call_tool(tool, arguments)


async def meet(host: Host, *asked: tuple[str, dict[str, Any]]) -> None:
    async with anyio.create_task_group() as group:
        for tool, arguments in asked:
            group.start_soon(ask, host, tool, arguments)
        for _ in range(READERS):
            group.start_soon(ask, host, "list_tasks", {})


async def paused(host: Host) -> str:
    task_id = await host.create("$ echo 1\n$ echo 2", maxCalls=1)
    await host.until(task_id, "paused")
    return task_id


async def moves(host: Host, task_id: str) -> list[str]:
    """Return the states the task has been in, once it has ended."""
    task = await host.until(task_id, "completed", "cancelled", "failed", include=["events"])
    return [event["data"]["status"] for event in task["events"] if event["type"] == "status"]


async def test_a_cancelled_task_is_not_revived_by_a_message_to_a_paused_one(host: Host) -> None:
    for _ in range(ROUNDS):
        task_id = await paused(host)
        await meet(host, ("cancel_task", {"id": task_id}), ("send_message", {"id": task_id}))
        ends = [status for status in await moves(host, task_id) if status == "cancelled"]
        assert len(ends) == 1
