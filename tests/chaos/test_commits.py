"""A change that was refused since the disk fails is not there after a crash either."""

from pathlib import Path

from tests import servers
from tests.chaos.faults import injected
from tests.chaos.processes import becomes
from tests.chaos.site import strace
from tests.homes import own_home
from tests.needs import lacks

__all__ = ["own_home"]


async def test_a_change_that_could_not_be_synced_is_not_there_after_a_crash(own_home: Path) -> None:
    if not strace():
        lacks("faults in system calls take root, and strace (apt-get install strace)")
    async with servers.host(own_home) as host:
        task = await host.create("for others", agentId="none")
        await host.call("cancel_task", id=task)
        async with injected(own_home, "fdatasync,fsync", "error=EIO") as tracer:
            assert await becomes(lambda: _is_traced(own_home), servers.PATIENCE)
            assert tracer.poll() is None
            error = await host.fail("delete_task", id=task)
            assert error["message"].endswith("nothing was changed")
            servers.kill(own_home)
        assert (await host.call("get_task", id=task))["status"] == "cancelled"


def _is_traced(home: Path) -> bool:
    """Return whether all threads of the server have a tracer."""
    (server,) = servers.servers(home)
    states = [thread.read_text() for thread in Path(f"/proc/{server}/task").glob("*/status")]
    return all("\nTracerPid:\t0\n" not in state for state in states)
