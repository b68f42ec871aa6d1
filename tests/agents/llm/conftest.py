"""Servers whose llm agent asks a scripted model on the loopback."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.homes import Windows, own_home, shared_windows
from tests.models.server import Model
from tests.models.shared import Asking, asking, model, shared_endpoint
from tests.servers import Host

__all__ = ["asking", "model", "own_home", "shared_endpoint", "shared_windows"]


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    """A provider of each wire format."""
    return str(request.param)


@pytest.fixture
def window(shared_windows: Windows, asking: Asking) -> Windows:
    """A window on a server whose model is the one given; tests with the same settings share it."""

    def opened(model: Model, provider: str = "openai", **variables: Any) -> AbstractAsyncContextManager[Host]:
        return shared_windows(**asking(model, provider), **variables)

    return opened
