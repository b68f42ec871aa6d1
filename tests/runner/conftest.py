"""A workspace that an ordinary user may write to, and the tiers this machine has."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import get_args

import pytest

from server.runner.cgroups.hierarchy import end_leftover_groups
from server.runner.process_tree import END_SECONDS
from server.runner.tiers import landlock
from server.tier_names import TIER_NAMES, Confining, TierName
from tests.needs import lacks
from tests.runner.commands import processes_with, readable_python


@pytest.fixture
def workspace() -> Iterator[Path]:
    """A folder that an ordinary user may enter, unlike pytest's own; nothing that names it may be left running.

    Beside it is the `scratch` of servers that are killed.
    """
    with TemporaryDirectory(prefix="remit-test-") as name:
        folder, scratch = Path(name, "workspace"), Path(name, "scratch")
        Path(name).chmod(0o755)
        for each in (folder, scratch):
            each.mkdir()
            each.chmod(0o777)
        yield folder
        end_leftover_groups(scratch)
        deadline = monotonic() + END_SECONDS  # a server killed in mid-start leaves what has yet to notice
        while (left := processes_with(name)) and monotonic() < deadline:
            sleep(0.01)
        assert not left


def _needs(tier: TierName) -> None:
    if tier == "namespaces" and shutil.which("bwrap") is None:
        lacks("bubblewrap is not installed")
    if tier == "landlock" and landlock.abi() < landlock.OLDEST_ABI:
        pytest.skip("this kernel has no Landlock that holds")
    if tier == "landlock":
        readable_python()


@pytest.fixture(params=TIER_NAMES)
def tier(request: pytest.FixtureRequest) -> TierName:
    """Each tier, the one that confines nothing included."""
    name: TierName = request.param
    _needs(name)
    return name


@pytest.fixture(params=get_args(Confining))
def confining(request: pytest.FixtureRequest) -> TierName:
    """Each tier that confines."""
    name: TierName = request.param
    _needs(name)
    return name
