"""Tasks wait where the disk is too full for a command, or the server has no descriptors left: they do not fail."""

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.errors import RemitError
from server.tasks.execution.record import RunRecord
from server.tasks.execution.shortage import ShortageWait
from server.tasks.execution.slot import Slot
from server.tasks.secrets.masking import NO_SECRETS
from storage.sqlite.store import open_store
from tests import servers
from tests.ends.waiting import waiting
from tests.faults import DISK_BYTES, Disk, small_disk
from tests.needs import lacks
from tests.storage.fresh import fresh
from tests.storage.samples import claimed

FLOOR = str(2 * DISK_BYTES)
"""Bytes that a small disk never has free."""


async def test_a_task_waits_until_the_disk_has_room_for_its_command(on_disk: tuple[Path, Disk]) -> None:
    home, disk = on_disk
    (home.parent / "remit.toml").write_text('[limits]\nfree_space = "4MiB"\n')
    async with servers.host(home) as host:
        await host.done("$ true")
        disk.fill(leave=3 * 1024**2)
        task = await host.create("$ echo ran", timeoutSeconds=1)
        await waiting(host, task, f"the disk of {home} must keep 4 MiB")
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
    if os.geteuid() != 0:
        lacks("counting the descriptors of a server, which hides them, takes root")
    async with servers.host(own_home) as host:
        await host.done("$ true")
        (server,) = servers.servers(own_home)
        before = resource.prlimit(server, resource.RLIMIT_NOFILE)
        taken = len(os.listdir(f"/proc/{server}/fd"))
        resource.prlimit(server, resource.RLIMIT_NOFILE, (taken + 8, before[1]))
        tasks = [await host.create("$ echo ran") for _ in range(4)]
        for task in tasks:
            await waiting(host, task, "this server has as many files open as it may")
        resource.prlimit(server, resource.RLIMIT_NOFILE, before)
        for task in tasks:
            assert (await host.until(task, "completed", "failed"))["status"] == "completed"


@pytest.fixture
def never_enough(tmp_path: Path) -> Iterator[Path]:
    """A folder of the user's on a disk that never has FLOOR free."""
    with small_disk(tmp_path / "small") as disk:
        (disk.folder / "file").write_text("found\n")
        yield disk.folder


def settings(folder: Path) -> str:
    """Return the settings of a server whose tasks may work in a folder."""
    return f'workspaces = ["{folder}"]\n[limits]\nfree_space = "{FLOOR}"\n'


async def test_a_task_that_only_reads_a_folder_needs_no_room_on_its_disk(own_home: Path, never_enough: Path) -> None:
    (own_home.parent / "remit.toml").write_text(settings(never_enough))
    async with servers.host(own_home) as host:
        task = await host.create("$ cat file", workspace={"path": str(never_enough), "mode": "readonly"})
        ended = await host.until(task, "completed", "failed")
    assert (ended["status"], ended["output"]["content"], ended.get("warnings", [])) == ("completed", "found\n", [])


async def test_a_task_that_may_write_a_folder_waits_for_room_on_its_disk(own_home: Path, never_enough: Path) -> None:
    (own_home.parent / "remit.toml").write_text(settings(never_enough))
    async with servers.host(own_home) as host:
        task = await host.create(
            "$ cat file", workspace={"path": str(never_enough), "mode": "readwrite"}, allowHooks=True
        )
        await waiting(host, task, f"the disk of {never_enough} must keep 48 MiB")
        await host.call("cancel_task", id=task)


async def test_a_task_that_only_reads_a_folder_waits_for_room_in_the_state_folder(
    on_disk: tuple[Path, Disk], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home, _ = on_disk
    folder = tmp_path_factory.mktemp("roomy")
    (home.parent / "remit.toml").write_text(settings(folder))
    async with servers.host(home) as host:
        task = await host.create("$ true", workspace={"path": str(folder), "mode": "readonly"})
        await waiting(host, task, f"the disk of {home} must keep 48 MiB")
        await host.call("cancel_task", id=task)


async def test_what_fails_for_want_of_room_once_a_command_has_begun_is_told_as_begun(tmp_path: Path) -> None:
    async def fail() -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    async with open_store(fresh(tmp_path / "remit.db")) as store:
        claim = await claimed(store)
        slot = Slot(claim, lambda: None, hands_on=False)
        shortage = ShortageWait(RunRecord(store, claim.run, slot), slot, NO_SECRETS)
        with pytest.raises(RemitError, match="had begun, and is not made again by itself: your quota of the disk"):
            await shortage.patiently(fail, may_repeat=lambda: False)
