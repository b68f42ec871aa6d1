"""Shortages of the machine: they are reported in words, and nothing is half done."""

import os
import subprocess
from pathlib import Path

from tests import servers
from tests.faults import Disk, home_on_disk

FILES = [{"path": "report.txt", "content": "x" * 100_000}]
COMMAND = "$ wc -c < uploads/report.txt"


async def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    with home_on_disk(tmp_path) as (home, disk):
        async with servers.host(home) as host:
            await host.done("$ true")
            disk.fill()
            error = await host.fail("create_task", message=COMMAND, files=FILES)
            assert (error["code"], "the disk is full" in error["message"]) == ("EXECUTION_ERROR", True)
            disk.empty()
            assert (await host.done(COMMAND, files=FILES))["output"]["content"] == "100000\n"


async def test_a_disk_that_takes_no_more_files_is_told(tmp_path: Path) -> None:
    with home_on_disk(tmp_path) as (home, disk):
        async with servers.host(home) as host:
            await host.done("$ true")
            _leave_files(disk, 0)
            error = await host.fail("create_task", message=COMMAND, files=FILES)
            assert "takes no more files" in error["message"]
            _leave_files(disk, 1000)
            assert (await host.done(COMMAND, files=FILES))["output"]["content"] == "100000\n"


def _leave_files(disk: Disk, count: int) -> None:
    """Let the disk take so many files more."""
    found = os.statvfs(disk.folder)
    most = found.f_files - found.f_ffree + count
    subprocess.run(["mount", "-o", f"remount,nr_inodes={most}", disk.folder], check=True)
