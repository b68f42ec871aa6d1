"""Runs, cancellations and deletions on a full disk: they are written in the room that was kept for them."""

from pathlib import Path

import anyio

from tests import servers
from tests.ends.waiting import HELD, begun, goes_on, is_at_work, until
from tests.faults import Disk
from tests.servers import Host, script


async def test_a_run_that_ends_on_a_full_disk_is_on_record(on_disk: tuple[Path, Disk]) -> None:
    home, disk = on_disk
    async with servers.host(home) as host:
        task = await host.create(f"$ {HELD}")
        folder = await begun(host, home, task)
        disk.fill()
        goes_on(folder)
        assert (await host.until(task, "completed", "failed"))["status"] == "completed"


async def test_a_task_is_cancelled_on_a_full_disk(on_disk: tuple[Path, Disk]) -> None:
    home, disk = on_disk
    async with servers.host(home) as host:
        task = await host.create("$ touch begun; sleep 60")
        folder = await begun(host, home, task)
        disk.fill()
        assert (await host.call("cancel_task", id=task))["status"] == "cancelled"
        assert not is_at_work(folder)


async def test_tasks_are_deleted_on_a_full_disk_to_make_room(on_disk: tuple[Path, Disk]) -> None:
    home, disk = on_disk
    async with servers.host(home) as host:
        tasks = [(await host.done("$ head -c 300000 /dev/zero > big"))["id"] for _ in range(5)]
        disk.fill()
        for task in tasks:
            assert (await host.call("delete_task", id=task))["deletedTaskIds"] == [task]
        assert not any((home / "workspaces" / task).exists() for task in tasks)


async def test_many_tasks_are_cancelled_on_a_full_disk(on_disk: tuple[Path, Disk]) -> None:
    home, disk = on_disk
    async with servers.host(home) as host:
        tasks = [await host.create("$ touch begun; (setsid sleep 60 &); sleep 60") for _ in range(4)]
        folders = [await begun(host, home, task) for task in tasks]
        tasks += [await host.create("$ sleep 60", autoExecute=False) for _ in range(40)]
        disk.fill()
        for task in tasks:
            assert (await host.call("cancel_task", id=task))["status"] == "cancelled"
        assert not any(map(is_at_work, folders))


async def test_a_task_goes_on_once_the_disk_has_room_again(on_disk: tuple[Path, Disk]) -> None:
    home, disk = on_disk
    async with servers.host(home) as host:
        task = await host.create(f"$ {HELD}; echo one\n$ echo two >&2")
        folder = await begun(host, home, task)
        disk.fill()
        goes_on(folder)
        await until(host, task, lambda: not is_at_work(folder))
        disk.empty()
        ended = await host.until(task, "completed", "failed")
        assert (ended["status"], ended["output"]["content"]) == ("completed", "one\ntwo\n")


HOSTILE = """trap '' TERM INT HUP
for each in 1 2 3; do (setsid sh -c 'trap "" TERM HUP; while :; do sleep 60; done' > /dev/null 2>&1 &); done
touch begun; while :; do sleep 60; done"""
"""Heeds no signal that can be ignored, and leaves what belongs to no session of its own."""


async def test_nothing_of_twenty_hostile_trees_lives_5_s_after_they_were_cancelled_on_a_full_disk(
    on_disk: tuple[Path, Disk],
) -> None:
    home, disk = on_disk
    async with servers.host(home, REMIT_MAX_RUNNING="20") as host:
        tasks = [await host.create(script(HOSTILE)) for _ in range(20)]
        folders = [await begun(host, home, task) for task in tasks]
        assert all(map(is_at_work, folders))
        disk.fill()
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                for task in tasks:
                    group.start_soon(cancel, host, task)
        assert not any(map(is_at_work, folders))


async def cancel(host: Host, task_id: str) -> None:
    assert (await host.call("cancel_task", id=task_id))["status"] == "cancelled"
