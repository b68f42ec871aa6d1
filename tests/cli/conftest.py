"""One server that the tests of this folder share, and one of a test's own for those that count its tasks or hurt it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.cli.command_line import CommandLine
from tests.homes import shared_home

__all__ = ["shared_home"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder that commands are started in."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def remit(shared_home: Path, project: Path) -> CommandLine:
    return CommandLine(shared_home, project)


@pytest.fixture
def own_remit(tmp_path: Path, project: Path) -> Iterator[CommandLine]:
    with servers.home(tmp_path) as home:
        yield CommandLine(home, project)
