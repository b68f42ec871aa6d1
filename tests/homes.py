"""State folders for the tests of a package, whose `conftest.py` imports these fixtures: each package has its own."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.servers import Host


@pytest.fixture(scope="package")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder that the tests of a package share."""
    with servers.home(tmp_path_factory.mktemp("shared")) as home:
        yield home


@pytest.fixture(scope="package")
def killed_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder shared by the tests of a package that kill its server: the next window starts another."""
    with servers.home(tmp_path_factory.mktemp("killed")) as home:
        yield home


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    """A state folder of a test's own, for tests that damage its server."""
    with servers.home(tmp_path) as home:
        yield home


Windows = Callable[..., AbstractAsyncContextManager[Host]]


@pytest.fixture(scope="package")
def shared_windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    """Opens windows on servers that the tests of a package share: one for each set of variables."""
    with ExitStack() as stack:

        @cache
        def home(variables: frozenset[tuple[str, str]]) -> Path:
            return stack.enter_context(servers.home(tmp_path_factory.mktemp("shared")))

        @asynccontextmanager
        async def window(**variables: Any) -> AsyncIterator[Host]:
            async with servers.host(home(frozenset(variables.items())), **variables) as host:
                yield host

        yield window
