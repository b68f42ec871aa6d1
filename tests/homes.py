"""State folders for the tests of a package, whose `conftest.py` imports these fixtures: each package has its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers


@pytest.fixture(scope="package")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One that the tests of a package share."""
    with servers.home(tmp_path_factory.mktemp("shared")) as home:
        yield home


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    """One of a test's own, for those that hurt its server."""
    with servers.home(tmp_path) as home:
        yield home
