"""Replacing the installation while a server runs, which changes nothing for its tasks."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from server.runner.programs.copies import copy_programs
from tests import servers
from tests.daemon.conftest import ROOT
from tests.servers import Host

TIERS = ("namespaces", "off")


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """A copy of all that is installed."""
    folder = tmp_path / "installation"
    folder.mkdir()
    shutil.copy(ROOT / "remit.py", folder)
    for package in ("server", "storage", "templates"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@asynccontextmanager
async def window(installation: Path, home: Path, **variables: str) -> AsyncIterator[Host]:
    """Yield a window of this installation, whose server is ended afterwards."""
    environment = servers.environment(home, PYTHONDONTWRITEBYTECODE="1", **variables)
    launcher = str(installation / "remit.py")
    parameters = StdioServerParameters(command=sys.executable, args=[launcher], env=environment, cwd=home.parent)
    with servers.home(home.parent):
        async with Client(stdio_client(parameters)) as client:
            yield Host(client, home)


def take_away(installation: Path) -> None:
    """Remove the installation, as during an upgrade, or once it was installed elsewhere."""
    shutil.rmtree(installation)


def replace(installation: Path) -> None:
    """Replace the installation, as an upgrade in place does: the same names, but other programs."""
    for name in ("launcher", "relay", "supervisor", "cgroup_probe"):
        (installation / "server" / "runner" / "programs" / f"{name}.py").write_text("print('ready2')\n")
    for file in (installation / "server" / "runner" / "programs" / "skeleton").iterdir():
        file.unlink()


@pytest.mark.parametrize("change", [take_away, replace])
@pytest.mark.parametrize("tier", TIERS)
async def test_tasks_go_on_after_an_upgrade(
    installation: Path, tmp_path: Path, tier: str, change: Callable[[Path], None]
) -> None:
    async with window(installation, tmp_path / "state", REMIT_SANDBOX=tier) as host:
        change(installation)
        task = await host.done("$ echo still")
        assert (task["status"], task["result"]) == ("completed", "still\n")


async def test_what_needs_files_that_are_gone_says_that_remit_was_upgraded(installation: Path, tmp_path: Path) -> None:
    model = {"REMIT_AGENTS__LLM__MODEL": "openai:gpt-5", "REMIT_AGENTS__LLM__API_KEY": '{"command": ["echo", "key"]}'}
    async with window(installation, tmp_path / "state", **model) as host:
        take_away(installation)
        task = await host.done("say hello", agentId="llm")
        assert (task["errorCode"], "remit was upgraded" in task["error"]) == ("CONFLICT", True)
        assert "remit server stop" in task["error"]


def test_the_supervisor_needs_nothing_but_the_copy(tmp_path: Path) -> None:
    programs = copy_programs(tmp_path / "programs")
    names = "server.runner.programs.supervisor, server.runner.filesystem.removal"
    script = f"import sys; sys.path[:] = [{str(programs.root)!r}, *sys.path]; import {names}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_an_earlier_server_has_left_is_replaced(tmp_path: Path) -> None:
    left = tmp_path / "programs" / "server" / "runner" / "programs"
    left.mkdir(parents=True)
    (left / "launcher.py").write_text("old")
    (left / "gone.py").write_text("old")
    programs = copy_programs(tmp_path / "programs")
    assert programs.launcher.read_text() == (ROOT / "server/runner/programs/launcher.py").read_text()
    assert not (left / "gone.py").exists()
