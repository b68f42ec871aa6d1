"""Tasks wait where the disk is too full for a command, or the server has no descriptors left: they do not fail."""

import os
import resource
from pathlib import Path

from tests import servers
from tests.faults import Disk
from tests.servers import Host


async def waiting(host: Host, task_id: str, reason: str) -> None:
    """Until a task says that it waits for something."""
    while True:
        task = await host.call("get_task", id=task_id)
        assert task["status"] in ("pending", "running"), task
        if any(reason in warning for warning in task.get("warnings", [])):
            return


async def test_a_task_waits_until_the_disk_has_room_for_its_command(on_disk: tuple[Path, Disk]) -> None:
    home, disk = on_disk
    (home.parent / "remit.toml").write_text('[limits]\nfree_space = "4MiB"\n')
    async with servers.host(home) as host:
        await host.done("$ true")
        disk.fill(leave=3 * 1024**2)
        task = await host.create("$ echo ran", timeoutSeconds=1)
        await waiting(host, task, "the disk of its workspace must keep 4 MiB")
        disk.empty()
        ended = await host.until(task, "completed", "failed")
    assert (ended["status"], ended["output"]["content"]) == ("completed", "ran\n")


async def test_a_task_that_waits_for_room_can_be_cancelled(on_disk: tuple[Path, Disk]) -> None:
    home, disk = on_disk
    (home.parent / "remit.toml").write_text('[limits]\nfree_space = "4MiB"\n')
    async with servers.host(home) as host:
        disk.fill(leave=3 * 1024**2)
        task = await host.create("$ echo ran")
        await waiting(host, task, "the disk")
        assert (await host.call("cancel_task", id=task))["status"] == "cancelled"
        (call,) = (await host.call("get_task", id=task))["output"]["toolCalls"]
        assert call["reason"] == "not reached: the task was cancelled"


async def test_a_task_waits_until_the_server_has_descriptors_again(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        await host.done("$ true")
        (server,) = servers.servers(own_home)
        before = resource.prlimit(server, resource.RLIMIT_NOFILE)
        taken = len(os.listdir(f"/proc/{server}/fd"))
        resource.prlimit(server, resource.RLIMIT_NOFILE, (taken + 8, before[1]))
        tasks = [await host.create("$ echo ran") for _ in range(4)]
        for task in tasks:
            await waiting(host, task, "the server has no descriptors left")
        resource.prlimit(server, resource.RLIMIT_NOFILE, before)
        for task in tasks:
            assert (await host.until(task, "completed", "failed"))["status"] == "completed"
