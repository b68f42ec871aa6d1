"""No way to this machine's services."""

import pytest

from server.tier_names import TierName
from tests.runner.escapes.escapes import Network, ways_of
from tests.runner.escapes.ways import is_open


@pytest.mark.parametrize("way", ways_of(Network))
async def test_there_is_no_way_to(way: str, confining: TierName) -> None:
    assert not await is_open(way, confining)
