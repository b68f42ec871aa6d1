"""Servers whose llm agent asks a scripted model on the loopback."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.models.server import Model
from tests.servers import Host

KEY = "sk-model-key-9f2b71"

Opened = Callable[..., AbstractAsyncContextManager[Host]]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder, whose server is stopped at the end."""
    with servers.home(tmp_path) as state:
        yield state


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    """Each wire format."""
    return str(request.param)


@pytest.fixture
def window(state: Path) -> Opened:
    """A window on a server whose model is the one given."""

    @asynccontextmanager
    async def opened(model: Model, provider: str = "openai", **variables: Any) -> AsyncIterator[Host]:
        key = state.parent / "model-key"
        key.write_text(KEY)
        settings: dict[str, Any] = {
            "REMIT_AGENTS__LLM__MODEL": f"{provider}:scripted",
            "REMIT_AGENTS__LLM__BASE_URL": f"{model.url}/v1" if provider == "openai" else model.url,
            "REMIT_AGENTS__LLM__API_KEY__FILE": str(key),
        }
        async with servers.host(state, **settings, **variables) as host:
            yield host

    return opened
