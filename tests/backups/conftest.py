"""A state folder of a test's own, with its command line, and a place outside it for backups."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.cli.command_line import CommandLine


@pytest.fixture
def remit(tmp_path: Path) -> Iterator[CommandLine]:
    (tmp_path / "project").mkdir()
    with servers.home(tmp_path) as home:
        yield CommandLine(home, tmp_path / "project")


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """Where backups are put."""
    folder = tmp_path / "medium"
    folder.mkdir()
    return folder
