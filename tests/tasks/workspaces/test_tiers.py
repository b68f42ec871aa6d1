"""Worktrees in each tier that confines."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import anyio
import pytest

from server.tier_names import Confining, TierName
from tests.runner.commands import ORDINARY_USER, REPOSITORY, readable_python, surroundings
from tests.tasks.workspaces.tiers import worked


@pytest.mark.parametrize("tier", get_args(Confining))
async def test_a_worktree_is_made_worked_in_and_carried_over(tier: TierName) -> None:
    with TemporaryDirectory(prefix="remit-test-") as name:
        needs_another = tier == "landlock" and os.geteuid() == 0
        found = await (_elsewhere(name) if needs_another else worked(tier, Path(name)))
    assert json.loads(json.dumps(found)) == {
        "status": 0,
        "committed": [True, False],
        "dirty": True,
        "files": [["a.txt", "modified"], ["new", "untracked"]],
        "carried": True,
        "sound": "",
        "written": [],
    }


async def _elsewhere(folder: str) -> dict[str, object]:
    """Return the same as an ordinary user, whom Landlock alone can hold."""
    os.chmod(folder, 0o777)
    argv = (*ORDINARY_USER, readable_python(), "-m", "tests.tasks.workspaces.tiers", "landlock", folder)
    done = await anyio.run_process(argv, env=surroundings(), cwd=REPOSITORY, check=False)
    assert done.returncode == 0, done.stderr.decode()
    answer: dict[str, object] = json.loads(done.stdout)
    return answer
