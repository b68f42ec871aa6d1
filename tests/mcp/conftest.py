"""One server that the tests of this folder share, and one of a test's own for those that hurt it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import servers
from tests.homes import killed_home, own_home, shared_home, shared_windows
from tests.models.shared import asking, model, shared_endpoint
from tests.servers import Host

__all__ = ["asking", "killed_home", "model", "own_home", "shared_endpoint", "shared_home", "shared_windows"]


@pytest.fixture
async def host(shared_home: Path, tmp_path: Path) -> AsyncIterator[Host]:
    """A window opened in a folder of the test's own."""
    folder = tmp_path / "project"
    folder.mkdir()
    async with servers.host(shared_home, cwd=folder) as host:
        yield host
