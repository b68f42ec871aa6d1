"""No way to files outside."""

import pytest

from server.tier_names import TierName
from tests.runner.escapes.escapes import Files, ways_of
from tests.runner.escapes.ways import is_open

OPEN_IN_LANDLOCK = {"change_a_mode", "look_up_a_file"}
"""What that tier publishes as its gaps."""


@pytest.mark.parametrize("way", ways_of(Files))
async def test_there_is_no_way_to(way: str, confining: TierName) -> None:
    published = way in OPEN_IN_LANDLOCK and confining == "landlock"
    assert await is_open(way, confining) == published
