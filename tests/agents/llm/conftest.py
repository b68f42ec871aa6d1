"""Servers whose llm agent asks a scripted model on the loopback."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.homes import SharedHomes, own_home, shared_homes
from tests.models.script import Script
from tests.models.server import Endpoint, Model, endpoint
from tests.servers import Host

__all__ = ["own_home", "shared_homes"]

KEY = "sk-model-key-9f2b71"

Serve = Callable[[Script], AbstractContextManager[Model]]
Opened = Callable[..., AbstractAsyncContextManager[Host]]


@pytest.fixture(scope="package")
def shared_endpoint() -> Iterator[Endpoint]:
    """Where the models of all tests are, so that these can share the servers that ask them."""
    with endpoint() as shared:
        yield shared


@pytest.fixture
def model(shared_endpoint: Endpoint) -> Serve:
    """Serves a model."""
    return shared_endpoint.model


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    """Each wire format."""
    return str(request.param)


@pytest.fixture(scope="package")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the model's key."""
    file = tmp_path_factory.mktemp("key") / "model-key"
    file.write_text(KEY)
    return file


def _settings(model: Model, provider: str, key: Path) -> dict[str, Any]:
    return {
        "REMIT_AGENTS__LLM__MODEL": f"{provider}:scripted",
        "REMIT_AGENTS__LLM__BASE_URL": f"{model.url}/v1" if provider == "openai" else model.url,
        "REMIT_AGENTS__LLM__API_KEY__FILE": str(key),
    }


@pytest.fixture
def window(shared_homes: SharedHomes, key: Path) -> Opened:
    """A window on a server whose model is the one given; tests with the same settings share it."""

    @asynccontextmanager
    async def opened(model: Model, provider: str = "openai", **variables: Any) -> AsyncIterator[Host]:
        settings = {**_settings(model, provider, key), **variables}
        async with servers.host(shared_homes(frozenset(settings.items())), **settings) as host:
            yield host

    return opened


@pytest.fixture
def own_window(own_home: Path, key: Path) -> Opened:
    """The same on a server of the test's own."""

    @asynccontextmanager
    async def opened(model: Model, provider: str = "openai") -> AsyncIterator[Host]:
        async with servers.host(own_home, **_settings(model, provider, key)) as host:
            yield host

    return opened
