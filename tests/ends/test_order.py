"""The order of work in a real server."""

from pathlib import Path

from tests import servers
from tests.ends.waiting import HELD, begun, goes_on


async def test_an_approved_call_goes_before_tasks_that_have_not_begun(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_MAX_RUNNING="1") as host:
        asked, call = await host.waiting("$ true")
        held = await host.create(f"$ {HELD}")
        folder = await begun(host, own_home, held)
        later = [await host.create("$ true") for _ in range(3)]
        await host.decide(asked, call, "proceed_once")
        goes_on(folder)
        completed = (await host.until(asked, "completed"))["completedAt"]
        starts = [(await host.until(each, "completed"))["startedAt"] for each in later]
    assert all(completed <= start for start in starts)
