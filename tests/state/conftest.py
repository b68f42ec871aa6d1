"""State folders of a test's own, without a server, in which a task has left a file."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests import servers
from tests.homes import own_home

__all__ = ["own_home"]


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A state folder that all tests copy, and the id of its task."""
    with servers.home(tmp_path_factory.mktemp("made")) as home:
        yield home, anyio.run(done, home)


@pytest.fixture
def task_id(made: tuple[Path, str], own_home: Path) -> str:
    """The id of the task in a copy of it."""
    folder, task_id = made
    shutil.copytree(folder, own_home, ignore=shutil.ignore_patterns("remit.sock"))
    return task_id


async def done(home: Path) -> str:
    """Return the id of a new task that has ended and has left a file; the server is stopped."""
    async with servers.host(home) as host:
        task_id = (await host.done("$ echo work > work.txt"))["id"]
    stop(home)
    return str(task_id)


def stop(home: Path) -> None:
    """End the server as its user does."""
    assert servers.command(home, "server", "stop").returncode == 0
