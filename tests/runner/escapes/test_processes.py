"""No way to other processes."""

import pytest

from server.tier_names import TierName
from tests.runner.escapes.escapes import Processes, ways_of
from tests.runner.escapes.ways import is_open

OPEN_IN_LANDLOCK = {"see_a_process"}
"""What that tier publishes as its gaps."""


@pytest.mark.parametrize("way", ways_of(Processes))
async def test_there_is_no_way_to(way: str, confining: TierName) -> None:
    published = way in OPEN_IN_LANDLOCK and confining == "landlock"
    assert await is_open(way, confining) == published
