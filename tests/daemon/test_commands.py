"""`remit server status` and `remit server stop`, with a real server process."""

import json
from pathlib import Path

import pytest

from server.cli.commands.server import status, stop
from server.version import VERSION
from tests.daemon.conftest import Checkout, Window, servers


@pytest.fixture
async def window(checkout: Checkout) -> Window:
    """A window of a server that runs."""
    opened = await checkout.window()
    await opened.call(1, "echo")
    return opened


def test_status_without_a_server_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(json=False) == 1
    assert capsys.readouterr().out == f"no server runs for {home}\n"
    assert status(json=True) == 1
    assert json.loads(capsys.readouterr().out) == {"state": str(home), "server": None, "owner": None, "purpose": None}


def test_status_makes_no_state_folder(home: Path) -> None:
    status(json=False)
    assert not home.exists()


async def test_status_tells_what_the_server_does(
    window: Window, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await window.call(2, "work", running=3, secretsHeld=4)
    assert status(json=False) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"remit server {VERSION} runs, pid {servers(home)[0]}\n")
    assert "3 running, 0 waiting" in told


async def test_status_as_json_is_what_the_server_says_of_itself(
    window: Window, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["state"] == told["server"]["state"] == str(home)
    assert told["server"]["connections"] == 1


async def test_stop_returns_when_the_server_is_gone(
    window: Window, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pid,) = servers(home)
    assert stop(force=False, json=False) == 0
    assert servers(home) == []
    assert capsys.readouterr().out == f"stopped (pid {pid})\n"


def test_stop_without_a_server_is_content(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stop(force=False, json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": False, "server": None}


async def test_stop_of_a_busy_server_is_refused_with_the_way_to_do_it(
    window: Window, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await window.call(2, "work", running=3, secretsHeld=4)
    assert stop(force=False, json=False) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "3 running or pending tasks, 4 secrets in memory" in told.err
    assert "--force" in told.err
    assert len(servers(home)) == 1


async def test_stop_of_a_busy_server_refused_as_json_has_its_code(
    window: Window, capsys: pytest.CaptureFixture[str]
) -> None:
    await window.call(2, "work", running=0, secretsHeld=1)
    assert stop(force=False, json=True) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "CONFLICT"


async def test_a_busy_server_can_be_forced_to_stop(window: Window, home: Path) -> None:
    await window.call(2, "work", running=3, secretsHeld=4)
    assert stop(force=True, json=False) == 0
    assert servers(home) == []
