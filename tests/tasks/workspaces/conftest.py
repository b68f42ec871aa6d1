"""A server that may give tasks the folders of one place, and a repository there."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import servers
from tests.homes import killed_home, own_home, shared_home
from tests.servers import Host
from tests.tasks.workspaces import projects

__all__ = ["killed_home", "own_home", "shared_home"]


@pytest.fixture(scope="package")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the setting `workspaces` names."""
    return tmp_path_factory.mktemp("allowed").resolve()


@pytest.fixture
def place(allowed: Path, tmp_path: Path) -> Path:
    """A folder of the test's own in it."""
    folder = allowed / tmp_path.name
    folder.mkdir()
    return folder


@pytest.fixture
def project(place: Path) -> Path:
    """A repository with work in progress."""
    folder = projects.repository(place / "project")
    projects.in_progress(folder)
    return folder


@pytest.fixture
def variables(allowed: Path) -> dict[str, str]:
    return {"REMIT_WORKSPACES": json.dumps([str(allowed)])}


@pytest.fixture
async def host(shared_home: Path, place: Path, variables: dict[str, str]) -> AsyncIterator[Host]:
    """A window opened in the test's own place."""
    async with servers.host(shared_home, cwd=place, **variables) as host:
        yield host
