"""Trying the ways out: each is shown to be open without a sandbox before it is held to be closed within one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from server.runner.tiers.interpreter import find_interpreter
from server.tier_names import TierName
from tests.runner.commands import ORDINARY_USER, REPOSITORY, Request, readable_python, run, surroundings
from tests.runner.escapes.escapes import KINDS, ways_of

SOURCE = Path(__file__).with_name("escapes.py").read_text()

_open: dict[tuple[TierName, TierName], set[str]] = {}


@contextmanager
def outside(folder: Path, tier: TierName) -> Iterator[list[str]]:
    """Yield a program to be left alone, of the same user as the commands of that tier; its numbers."""
    python = (*ORDINARY_USER, readable_python()) if tier == "landlock" else (sys.executable,)
    with subprocess.Popen(
        (*python, "-m", "tests.runner.escapes.outside", folder, *(way for kind in KINDS for way in ways_of(kind))),
        cwd=REPOSITORY,
        env=surroundings(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        yield process.stdout.readline().split()


async def open_ways(tier: TierName, within: TierName) -> set[str]:
    """Which ways are open to the user of `tier`, in that tier or in another."""
    if (tier, within) not in _open:
        _open[tier, within] = await _try(tier, within)
    return _open[tier, within]


async def _try(tier: TierName, within: TierName) -> set[str]:
    interpreter = await find_interpreter()
    with TemporaryDirectory(prefix="remit-test-") as name:
        os.chmod(name, 0o777)
        folder, workspace = Path(name, "outside"), Path(name, "workspace")
        os.mkdir(workspace)
        os.chmod(workspace, 0o777)
        with outside(folder, tier) as numbers:
            request = Request(
                tier=within,
                argv=(*interpreter.command("-c"), SOURCE, str(folder), *numbers),
                workspace=str(workspace),
                readable=tuple(map(str, interpreter.folders)),
            )
            ran = await run(request, unprivileged=tier == "landlock")
    assert ran.status == 0, ran.output
    return set(ran.output.split())


async def is_open(way: str, tier: TierName) -> bool:
    """Return whether the way is open within the tier; skips the test if it is closed without a tier as well."""
    if way not in await open_ways(tier, "off"):
        pytest.skip("this machine closes it without a sandbox as well")
    return way in await open_ways(tier, tier)
