"""Servers whose llm agent asks a scripted model on the loopback."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.homes import SharedHomes, own_home, shared_homes
from tests.models.server import Model
from tests.models.shared import Asking, asking, model, shared_endpoint
from tests.servers import Host

__all__ = ["asking", "model", "own_home", "shared_endpoint", "shared_homes"]

Opened = Callable[..., AbstractAsyncContextManager[Host]]


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    """Each wire format."""
    return str(request.param)


@pytest.fixture
def window(shared_homes: SharedHomes, asking: Asking) -> Opened:
    """A window on a server whose model is the one given; tests with the same settings share it."""

    @asynccontextmanager
    async def opened(model: Model, provider: str = "openai", **variables: Any) -> AsyncIterator[Host]:
        settings = {**asking(model, provider), **variables}
        async with servers.host(shared_homes(frozenset(settings.items())), **settings) as host:
            yield host

    return opened


@pytest.fixture
def own_window(own_home: Path, asking: Asking) -> Opened:
    """The same on a server of the test's own."""

    @asynccontextmanager
    async def opened(model: Model, provider: str = "openai") -> AsyncIterator[Host]:
        async with servers.host(own_home, **asking(model, provider)) as host:
            yield host

    return opened
