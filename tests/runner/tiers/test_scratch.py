"""Temporary folders of a command: removed with it, whatever it made there and whatever was killed."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import anyio
import pytest

from server.runner.tiers.scratch import Scratch
from server.tier_names import TierName
from tests.runner.commands import Request, files, processes_with, run, until
from tests.runner.sandbox.test_ends import server

# Far deeper than Python recurses; an absolute path to its end would be too long for any system call.
DEEP = """
import os
os.chdir(os.environ["TMPDIR"])
for _ in range(1500):
    os.mkdir("folder")
    os.chdir("folder")
"""


@pytest.mark.parametrize("tier", ["off"])
async def test_a_deep_tree_is_cleared_away_like_any_other(
    tier: TierName, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ran = await run(Request(tier=tier, argv=(sys.executable, "-c", DEEP), workspace=str(workspace)))
    assert (ran.status, ran.output, os.listdir(tmp_path)) == (0, "", [])


@pytest.mark.parametrize("tier", ["landlock", "off"], indirect=True)
async def test_private_folders_are_removed_at_the_next_start_where_their_supervisor_died_too(
    tier: TierName, workspace: Path
) -> None:
    scratch = workspace.with_name("scratch")
    script = 'mkdir -p "$HOME/a/b"; chmod 0 "$HOME/a"; touch up; exec sleep 1000'
    request = Request(tier=tier, argv=("/bin/sh", "-c", script), workspace=str(workspace))
    with server(request) as process:
        await until(lambda: (workspace / "up").exists())
        supervisors = processes_with(f"supervisor.py\0{scratch}")
        for supervisor in supervisors:
            os.kill(supervisor, signal.SIGSTOP)
        process.kill()
        for supervisor in supervisors:
            os.kill(supervisor, signal.SIGKILL)
    assert len(supervisors) == 2
    await until(lambda: not processes_with(str(scratch)))
    assert len(os.listdir(scratch)) == 1
    Scratch(scratch).sweep()
    assert os.listdir(scratch) == []


@pytest.mark.namespaces
async def test_what_stood_in_for_missing_files_is_removed_at_the_next_start(workspace: Path) -> None:
    await anyio.run_process(["git", "init", "--quiet", str(workspace)])
    before = files(workspace)
    request = Request(tier="namespaces", argv=("/bin/sleep", "1000"), workspace=str(workspace))
    with server(request) as process:
        await until(lambda: (workspace / ".envrc").exists())
        process.kill()
    await until(lambda: not processes_with(str(workspace)))
    Scratch(workspace.with_name("scratch")).sweep()
    assert files(workspace) == before
