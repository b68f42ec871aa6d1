"""The commands of docs/operations.md do what the page says."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
def person(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables of a person with a home of their own, and `remit` on their PATH."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("REMIT_", "XDG_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    yield inherited | {"HOME": str(tmp_path), "PATH": path}
    for pid in servers.servers(tmp_path / ".local" / "state" / "remit"):
        servers.end(pid, signal.SIGTERM)


def test_each_command_of_the_page_succeeds_in_its_order(person: dict[str, str], tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    for script in ("remit run echo done", *blocks):
        done = subprocess.run(
            ["sh", "-eu", "-c", script], env=person, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{script}\n{done.stderr}"
    assert {path.name for path in (tmp_path / "backups").iterdir()} == {"remit.db", "remit-folders.tar.gz"}
