"""The folders a command has to itself where no namespace gives it some: gone when it is, whatever it made in them."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from server.runner.sandbox import Name
from tests.runner.commands import Request, run

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
    tier: Name, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ran = await run(Request(tier=tier, argv=(sys.executable, "-c", DEEP), workspace=str(workspace)))
    assert (ran.status, ran.output, os.listdir(tmp_path)) == (0, "", [])
