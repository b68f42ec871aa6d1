"""State folders of a test's own, on a disk of its own where that is to be filled."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.faults import Disk, home_on_disk
from tests.homes import own_home, shared_home
from tests.servers import Host

__all__ = ["own_home", "shared_home"]


@pytest.fixture
async def host(shared_home: Path) -> AsyncIterator[Host]:
    """A window on a server that the tests of this folder share."""
    async with servers.host(shared_home) as host:
        yield host


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[tuple[Path, Disk]]:
    """A state folder on a small disk, and that disk."""
    with home_on_disk(tmp_path) as found:
        yield found
