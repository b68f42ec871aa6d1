"""A state folder with workspaces in it, and the rights of somebody who is not root."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.runner.workspace.workspaces import Workspaces

NOBODY = 65534


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def workspaces(state: Path) -> Workspaces:
    """The workspaces in it."""
    return Workspaces(state / "workspaces")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder that a client was started in."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of its own for somebody whom modes keep out, and the test acting as that one: root passes any mode."""
    with tempfile.TemporaryDirectory() as name:
        user = os.geteuid()
        if user == 0:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(user)
