"""State folders for the tests of a package, whose `conftest.py` imports these fixtures: each package has its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
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


SharedHomes = Callable[[frozenset[tuple[str, str]]], Path]


@pytest.fixture(scope="package")
def shared_homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedHomes]:
    """One for each set of variables of a server, which the tests of a package share."""
    with ExitStack() as stack:

        @cache
        def home(variables: frozenset[tuple[str, str]]) -> Path:
            return stack.enter_context(servers.home(tmp_path_factory.mktemp("shared")))

        yield home
