"""A real client whose server is killed beneath it, in both eras of the protocol."""

from pathlib import Path

import anyio
import pytest

from server.mcp.tools import TOOLS
from server.pipe.messages import READING_TOOLS
from tests import servers

ERAS = pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])


@ERAS
async def test_a_client_goes_on_after_its_server_was_killed_between_two_calls(own_home: Path, mode: str) -> None:
    async with servers.host(own_home, mode=mode) as host:
        task = await host.create("work for others", agentId="none")
        servers.kill(own_home)
        assert (await host.call("get_task", id=task))["id"] == task
        assert (await host.done("$ echo hi"))["output"]["content"] == "hi\n"


@ERAS
async def test_a_wait_goes_on_and_hears_that_the_task_was_interrupted(own_home: Path, mode: str) -> None:
    async with servers.host(own_home, mode=mode) as host:
        task = await host.create("$ echo begun; sleep 60")
        await host.said(task, "begun\n")
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                ended = await host.until(task, "failed")
                assert ended["errorCode"] == "INTERRUPTED"

            group.start_soon(wait)
            await host.call("list_agents")
            servers.kill(own_home)


def test_the_tools_that_are_repeated_are_those_that_only_read() -> None:
    assert {name for name, tool in TOOLS.items() if tool.hints.read_only_hint} == READING_TOOLS
