"""What a program in the sandbox may do through the callback channel of its run, and what it may not."""

import pytest

from tests.homes import Windows
from tests.tasks.delegation.conftest import visited

pytestmark = pytest.mark.anyio


async def test_a_sub_task_is_made_waited_for_and_read(window: Windows) -> None:
    async with window() as host:
        task, (made, read) = await visited(
            host, ("create_task", {"message": "$ echo from below"}), ("get_task", {"id": "ID", "waitSeconds": 20})
        )
        sub_task = await host.call("get_task", id=made["id"])
    assert (read["status"], read["output"]["content"]) == ("completed", "from below\n")
    assert (sub_task["parentTaskId"], sub_task["triggeringAgentId"]) == (task["id"], "shell")
    assert sub_task["sourceNodeType"] == "agent"
