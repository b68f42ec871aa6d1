"""A server goes on with what an earlier version has left."""

from pathlib import Path

from tests import servers
from tests.storage import written


async def test_a_task_that_waits_for_approval_goes_on_in_the_next_version(own_home: Path) -> None:
    written.write(19, own_home / "remit.db")
    async with servers.host(own_home) as host:
        ((task_id, status),) = [
            (task["id"], task["status"])
            for task in (await host.call("list_tasks"))["tasks"]
            if task["title"] == "of before"
        ]
        assert status == "awaiting_approval"
        await host.decide(task_id, await host.waiting_call(task_id), "proceed_once")
        # It was written in another state folder: what it would run in is no longer what was agreed to.
        await host.decide(task_id, await host.waiting_call(task_id), "proceed_once")
        task = await host.until(task_id, "completed", "failed")
        assert (task["status"], task["output"]["content"]) == ("completed", "it went on\n")
