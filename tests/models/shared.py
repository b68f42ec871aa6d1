"""Fixtures of models for the tests of a package, whose `conftest.py` imports them: its tests can share servers."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.models.script import Script
from tests.models.server import Endpoint, Model, endpoint

KEY = "sk-model-key-9f2b71"

Serve = Callable[[Script], AbstractContextManager[Model]]
Asking = Callable[[Model, str], dict[str, Any]]


@pytest.fixture(scope="package")
def shared_endpoint() -> Iterator[Endpoint]:
    """Where the models of all tests are, so that the servers that ask them can have the same settings."""
    with endpoint() as shared:
        yield shared


@pytest.fixture
def model(shared_endpoint: Endpoint) -> Serve:
    """Serves a model."""
    return shared_endpoint.model


@pytest.fixture(scope="package")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    """The settings of a server whose llm agent asks a model in the wire format of a provider."""
    key = tmp_path_factory.mktemp("key") / "model-key"
    key.write_text(KEY)

    def settings(model: Model, provider: str) -> dict[str, Any]:
        return {
            "REMIT_AGENTS__LLM__MODEL": f"{provider}:scripted",
            "REMIT_AGENTS__LLM__BASE_URL": f"{model.url}/v1" if provider == "openai" else model.url,
            "REMIT_AGENTS__LLM__API_KEY__FILE": str(key),
        }

    return settings
