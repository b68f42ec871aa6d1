"""Measuring a workspace, and glancing at its disk."""

from pathlib import Path
from time import monotonic, sleep

import anyio
import pytest

from server.limits import GIB, MIB
from server.runner.monitoring import disk_usage, disks
from server.runner.monitoring.disk_usage import DiskUsage
from server.runner.policy import Limits, SandboxPolicy
from server.runner.sandbox import Sandbox
from server.tier_names import TierName
from tests.faults import DISK_BYTES, small_disk
from tests.runner.commands import Ran, Request, run

TOO_LARGE = "the workspace size limit of 1 MiB"
DEADLINE_SECONDS = 20


async def shell(tier: TierName, workspace: Path, script: str, **limits: int) -> Ran:
    request = Request(tier=tier, argv=("/bin/sh", "-c", script), workspace=str(workspace), limits=limits)
    with anyio.fail_after(DEADLINE_SECONDS):
        return await run(request)


@pytest.fixture(params=["namespaces", "off"])
def tier(request: pytest.FixtureRequest) -> TierName:
    """The tiers whose commands this process attends to, whoever its user is."""
    name: TierName = request.param
    return name


async def test_a_short_command_that_takes_much_of_the_disk_is_measured_at_its_end(
    tier: TierName, workspace: Path
) -> None:
    ran = await shell(tier, workspace, f"fallocate -l {8 * disk_usage.MUCH_BYTES} big", workspace_bytes=MIB)
    assert ran.limit == TOO_LARGE


async def test_a_longer_command_is_measured_at_its_end(
    tier: TierName, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_usage, "FIRST_SECONDS", 0.3)
    ran = await shell(tier, workspace, "sleep 0.7; head -c 2000000 /dev/zero > big", workspace_bytes=MIB)
    assert ran.limit == TOO_LARGE


async def test_a_workspace_within_its_limit_ends_no_command(
    tier: TierName, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_usage, "FIRST_SECONDS", 0)
    ran = await shell(tier, workspace, "sleep 0.5; head -c 900000 /dev/zero > big; sleep 0.5", workspace_bytes=MIB)
    assert (ran.status, ran.limit) == (0, None)


async def test_files_are_counted_even_if_they_are_empty(
    tier: TierName, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_usage, "FIRST_SECONDS", 0.5)
    script = "for i in $(seq 2500); do : > $i; done; sleep 60"
    assert (await shell(tier, workspace, script, workspace_bytes=MIB)).limit == TOO_LARGE


async def test_what_is_deleted_and_still_open_is_counted(
    tier: TierName, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_usage, "FIRST_SECONDS", 0.5)
    script = "exec 3> file; rm file; head -c 5000000 /dev/zero >&3; sleep 60"
    assert (await shell(tier, workspace, script, workspace_bytes=MIB)).limit == TOO_LARGE


async def test_a_disk_that_is_too_full_ends_the_command(tier: TierName, workspace: Path) -> None:
    ran = await shell(tier, workspace, "sleep 60", free_bytes=1024**2 * GIB)
    assert ran.limit
    assert "must keep 1073741824 MiB" in ran.limit


async def test_a_disk_that_a_command_only_reads_needs_no_room(confining: TierName, workspace: Path) -> None:
    with small_disk(workspace / "disk") as disk:
        disk.folder.chmod(0o755)
        limits = {"free_bytes": 2 * DISK_BYTES}
        request = Request(
            tier=confining, argv=("/bin/ls",), workspace=str(disk.folder), access="read-only", limits=limits
        )
        ran = await run(request)
    assert (ran.status, ran.limit) == (0, None)


async def test_a_disk_that_is_too_full_for_private_folders_ends_a_command_that_only_reads(workspace: Path) -> None:
    limits = {"free_bytes": 1024**2 * GIB}
    argv = ("/bin/sleep", "60")
    ran = await run(Request(tier="landlock", argv=argv, workspace=str(workspace), access="read-only", limits=limits))
    assert "must keep" in (ran.limit or "")


async def test_a_disk_with_too_few_inodes_ends_the_command(
    tier: TierName, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "FREE_INODES", 2**62)
    assert "free" in ((await shell(tier, workspace, "sleep 60")).limit or "")


async def test_no_floor_is_no_reason_to_end_a_command(
    tier: TierName, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "FREE_INODES", 2**62)
    assert (await shell(tier, workspace, "true", free_bytes=0)).limit is None


async def test_a_workspace_that_a_command_removed_is_no_error(workspace: Path) -> None:
    ran = await shell("off", workspace, "rmdir $PWD; sleep 0.3")
    assert (ran.status, ran.limit) == (0, None)


async def test_a_command_that_removes_its_workspace_before_anybody_looks_is_no_error(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect = Sandbox._expect

    def late(sandbox: Sandbox, word: str, line: str) -> None:
        expect(sandbox, word, line)
        deadline = monotonic() + DEADLINE_SECONDS
        while word == "go" and workspace.exists() and monotonic() < deadline:
            sleep(0.001)

    monkeypatch.setattr(Sandbox, "_expect", late)
    ran = await shell("off", workspace, "rmdir $PWD")
    assert (ran.status, ran.limit) == (0, None)


async def test_a_measurement_that_cannot_start_leaves_the_other_limits_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError("nice")

    monkeypatch.setattr(disk_usage, "Popen", refuse)
    measuring = DiskUsage(SandboxPolicy(workspace=tmp_path, limits=Limits(workspace_bytes=1)), (), 1, now=0.0)
    assert await measuring.exceeded(disk_usage.FIRST_SECONDS) is None
    assert "cannot be measured" in caplog.text
    measuring.close()
