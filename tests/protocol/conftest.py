"""One server that the tests of this folder share, and one of a test's own for those that hurt it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.servers import Host


@pytest.fixture(scope="package")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with servers.home(tmp_path_factory.mktemp("shared")) as home:
        yield home


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    with servers.home(tmp_path) as home:
        yield home


@pytest.fixture
async def host(shared_home: Path, tmp_path: Path) -> AsyncIterator[Host]:
    """A window opened in a folder of the test's own."""
    folder = tmp_path / "project"
    folder.mkdir()
    async with servers.host(shared_home, cwd=folder) as host:
        yield host
