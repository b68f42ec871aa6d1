"""No way to more rights."""

import pytest

from server.tier_names import TierName
from tests.runner.escapes.escapes import Kernel, ways_of
from tests.runner.escapes.ways import is_open


@pytest.mark.parametrize("way", ways_of(Kernel))
async def test_there_is_no_way_to(way: str, confining: TierName) -> None:
    assert not await is_open(way, confining)
