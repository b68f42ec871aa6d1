"""Limits bite, and say which."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from server.limits import MIB
from server.runner.monitoring import monitor
from server.runner.tiers.interpreter import find_interpreter
from server.tier_names import TierName
from tests.runner.commands import Ran, Request, run

DEADLINE_SECONDS = 20

PRIVATE = """
import os, time
for _ in range(2):
    os.fork()
data = bytearray({size})
time.sleep(1000)
"""
SHARED = """
import ctypes, mmap, os, time
if {hidden}:
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # not dumpable: how much memory it shares is nobody's to see
memory = mmap.mmap(-1, {size})
for _ in range({forks}):
    os.fork()
for offset in range(0, {size}, 4096):
    memory[offset] = 1
time.sleep({seconds})
"""
BUSY = "while :; do :; done"
BUSY_CHILDREN = "while :; do sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; done"
BUSY_ORPHANS = """
mkfifo pipe
while :; do
    (sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo' > pipe &)
    cat pipe
done
"""
MANY = "for i in $(seq 300); do sleep 1000 & done; wait"
FORK_BOMB = "bomb() { bomb | bomb & }; bomb; sleep 2; exit 3"


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure often, so that these tests need not wait for seconds if this process measures."""
    monkeypatch.setattr(monitor, "MEASURE_SECONDS", 0.2)


async def python(
    tier: TierName, workspace: Path, source: str, *, unprivileged: bool = False, memory_bytes: int, **values: Any
) -> Ran:
    interpreter = await find_interpreter()
    request = Request(
        tier=tier,
        argv=(*interpreter.command("-c"), source.format(**values)),
        workspace=str(workspace),
        readable=tuple(map(str, interpreter.folders)),
        limits={"memory_bytes": memory_bytes},
    )
    with anyio.fail_after(DEADLINE_SECONDS):
        return await run(request, unprivileged=unprivileged)


async def shell(tier: TierName, workspace: Path, script: str, *, unprivileged: bool = False, **limits: int) -> Ran:
    request = Request(tier=tier, argv=("/bin/sh", "-c", script), workspace=str(workspace), limits=limits)
    with anyio.fail_after(DEADLINE_SECONDS):
        return await run(request, unprivileged=unprivileged)


async def test_the_memory_of_all_processes_together_is_limited(tier: TierName, workspace: Path) -> None:
    ran = await python(tier, workspace, PRIVATE, size=60 * MIB, memory_bytes=150 * MIB)
    assert ran.limit == "the memory limit of 150 MiB"


async def test_memory_that_is_nobodys_own_is_limited(tier: TierName, workspace: Path) -> None:
    ran = await python(
        tier, workspace, SHARED, memory_bytes=150 * MIB, size=200 * MIB, hidden=False, forks=0, seconds=1000
    )
    assert ran.limit == "the memory limit of 150 MiB"


async def test_memory_that_is_hidden_is_limited(confining: TierName, workspace: Path) -> None:
    ran = await python(
        confining,
        workspace,
        SHARED,
        memory_bytes=150 * MIB,
        unprivileged=True,
        size=200 * MIB,
        hidden=True,
        forks=0,
        seconds=1000,
    )
    assert ran.limit == "the memory limit of 150 MiB"


async def test_memory_that_several_share_is_counted_once(confining: TierName, workspace: Path) -> None:
    ran = await python(
        confining, workspace, SHARED, memory_bytes=200 * MIB, size=80 * MIB, hidden=False, forks=2, seconds=2
    )
    assert (ran.status, ran.limit) == (0, None)


async def test_no_process_takes_more_memory_than_all_may(tier: TierName, workspace: Path) -> None:
    ran = await python(tier, workspace, "bytearray({size})", size=400 * MIB, memory_bytes=200 * MIB)
    assert "MemoryError" in ran.output


@pytest.mark.parametrize("script", [BUSY, BUSY_CHILDREN, BUSY_ORPHANS], ids=["itself", "children", "orphans"])
async def test_processor_time_is_limited(script: str, confining: TierName, workspace: Path) -> None:
    ran = await shell(confining, workspace, script, cpu_seconds=1)
    assert ran.limit == "the processor time limit of 1 s"


async def test_the_number_of_processes_is_limited(tier: TierName, workspace: Path) -> None:
    ran = await shell(tier, workspace, MANY, processes=100)
    assert ran.limit == "the limit of 100 processes" or "Cannot fork" in ran.output


async def test_a_fork_bomb_is_stopped(confining: TierName, workspace: Path) -> None:
    ran = await shell(confining, workspace, FORK_BOMB, processes=200, unprivileged=True)
    assert ran.limit == "the limit of 200 processes" or "Cannot fork" in ran.output
    assert ran.seconds < 5


async def test_the_size_of_a_file_is_limited(tier: TierName, workspace: Path) -> None:
    ran = await shell(tier, workspace, "exec head -c 10000000 /dev/zero > file", file_bytes=MIB)
    assert ran.limit == "the file size limit of 1 MiB"
    assert (workspace / "file").stat().st_size == MIB


async def test_open_files_are_limited(tier: TierName, workspace: Path) -> None:
    assert (await shell(tier, workspace, "ulimit -n", open_files=100)).output == "100\n"


@pytest.mark.namespaces
@pytest.mark.parametrize("folder", ["/tmp", "$HOME", "/dev/shm"])
async def test_a_folder_in_memory_has_a_size(folder: str, workspace: Path) -> None:
    script = f"head -c 10000000 /dev/zero > {folder}/file; stat -c %s {folder}/file"
    ran = await shell("namespaces", workspace, script, tmp_bytes=MIB)
    assert ran.output.splitlines()[-1] == str(MIB)


@pytest.mark.namespaces
@pytest.mark.parametrize("folder", ["/", "/dev", "/etc", "/run", "/home"])
async def test_no_other_folder_in_memory_can_be_written(folder: str, workspace: Path) -> None:
    assert (await shell("namespaces", workspace, f"touch {folder}/file")).status != 0


async def test_nothing_dumps_core(tier: TierName, workspace: Path) -> None:
    assert (await shell(tier, workspace, "ulimit -c")).output == "0\n"
