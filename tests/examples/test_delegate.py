"""`examples/delegate.py` delegates, asks, and prints."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.examples.test_hosts import EXAMPLES, INSTALLED


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with servers.home(tmp_path_factory.mktemp("delegate")) as home:
        yield home


def _delegate(home: Path, message: str, typed: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(EXAMPLES / "delegate.py"), message],
        env=servers.environment(home, PATH=INSTALLED),
        input=typed,
        capture_output=True,
        text=True,
        timeout=servers.PATIENCE,
        check=False,
    )


def test_what_is_approved_runs_and_is_printed(home: Path) -> None:
    done = _delegate(home, "echo hello", "y\n")
    assert (done.returncode, done.stdout) == (0, "May it run 'echo hello'? [y/N] hello\n")


def test_what_is_not_approved_does_not_run(home: Path) -> None:
    done = _delegate(home, "echo hello", "\n")
    assert (done.returncode, done.stderr) == (1, "cancelled \n")


def test_an_error_is_told(home: Path) -> None:
    done = _delegate(home, "", "")
    assert done.returncode == 1
    assert "holds no command" in done.stderr
