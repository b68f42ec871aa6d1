"""SECURITY.md tells the gaps in the words of the server itself."""

import json
import re
from pathlib import Path

import pytest

from server.errors import RemitError
from server.runner.detection import find_sandbox
from server.tier_names import TIER_NAMES, TierName
from tests import servers
from tests.cli.command_line import CommandLine
from tests.gaps.document import SECURITY, table, text
from tests.runner.conftest import tier

__all__ = ["tier"]


def test_the_table_is_made_from_what_the_server_says() -> None:
    assert SECURITY.read_text("utf-8") == text(), "run `make security`"


def rows(column: TierName) -> set[str]:
    """Return the gaps of a tier, by the table."""
    at = TIER_NAMES.index(column) + 2
    lines = [line.split(" | ") for line in table().splitlines()[2:]]
    assert all(len(line) == len(TIER_NAMES) + 1 for line in lines), "a gap has a sign in it that divides columns"
    return {line[0].removeprefix("| ") for line in lines if line[at - 1].rstrip(" |")}


async def test_it_has_every_gap_that_is_published_here(tier: TierName) -> None:
    try:
        gaps = (await find_sandbox(tier)).gaps
    except RemitError as error:
        pytest.skip(str(error))
    assert set(gaps) <= rows(tier)


def test_doctor_says_the_same(tmp_path: Path) -> None:
    with servers.home(tmp_path) as state:
        findings = json.loads(CommandLine(state, tmp_path)("doctor", "--json").stdout)["findings"]
    (sandbox,) = [finding for finding in findings if finding["name"] == "sandbox"]
    found = re.match(r"\w+", sandbox["told"])
    assert found
    (name,) = [each for each in TIER_NAMES if each == found[0]]
    said = {each.removeprefix("does not hold: ") for each in sandbox["advice"] if each.startswith("does not hold: ")}
    assert said
    assert said <= rows(name)
