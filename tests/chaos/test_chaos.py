"""Campaigns of faults: what the server has promised holds, and where a promise is broken it is found."""

import os
import shutil
from pathlib import Path

import pytest

from tests.chaos import campaign
from tests.chaos.faults import possible
from tests.chaos.mutants import MUTANTS
from tests.needs import lacks

SEED = int(os.environ.get("SEED", "14"))
SHORT, WHOLE, MUTANT = 8.0, 90.0, 15.0
"""Seconds of faults."""

MOST_CAMPAIGNS = 6
"""In which what is broken is found: a campaign need not come upon it."""


def test_nothing_is_lost_done_twice_or_left_when_servers_and_windows_are_killed(tmp_path: Path) -> None:
    report = campaign.run(tmp_path, SEED, SHORT, faults=["killed_at_an_answer", "killed", "window_killed"])
    assert not report.journal.faults, "\n".join(report.lines())


@pytest.mark.long
def test_all_that_was_promised_holds_through_every_fault(tmp_path: Path) -> None:
    for program in ("strace", "faketime"):
        if shutil.which(program) is None:
            lacks(f"some faults take {program} (apt-get install {program})")
    report = campaign.run(tmp_path, SEED, WHOLE, faults=possible())
    assert not report.journal.faults, "\n".join(report.lines())
    assert report.done.keys() == set(possible()), "\n".join(report.lines())


@pytest.mark.long
@pytest.mark.parametrize("broken", MUTANTS)
def test_a_promise_that_is_broken_is_found(tmp_path: Path, broken: str) -> None:
    mutant = MUTANTS[broken]
    (tmp_path / "copy").mkdir()
    launcher = mutant.make(tmp_path / "copy")
    found = (_found(tmp_path / str(seed), seed, launcher) for seed in range(SEED, SEED + MOST_CAMPAIGNS))
    assert any(kinds & mutant.found_as for kinds in found)


def _found(folder: Path, seed: int, launcher: Path) -> set[str]:
    folder.mkdir()
    report = campaign.run(folder, seed, MUTANT, launcher=launcher, faults=["killed"])
    print(*report.lines(), sep="\n")
    return report.kinds
