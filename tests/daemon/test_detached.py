"""Independence of a server from the window that started it."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from server.daemon.launch import KEPT, KEPT_PREFIXES
from tests.daemon.conftest import Checkout, servers


@pytest.fixture
async def server(checkout: Checkout, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The /proc folder of a server started by a window that has descriptors, variables and a folder of its own."""
    monkeypatch.setenv("REMIT_SOFT", "yes")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("SECRET_OF_THE_WINDOW", "s3cret")
    monkeypatch.setenv("REMIT_MAX_RUNNING", "7")
    monkeypatch.setenv("LC_TIME", "C")
    window = await checkout.window(cwd=checkout.launcher.parent)
    await window.call(1, "echo")
    return Path(f"/proc/{servers(home)[0]}")


async def test_it_works_in_the_root_folder(server: Path) -> None:
    assert os.readlink(server / "cwd") == "/"


async def test_it_has_a_session_of_its_own_and_cannot_get_a_terminal(server: Path) -> None:
    session = os.getsid(int(server.name))
    assert session != os.getsid(0)
    assert session != int(server.name)


async def test_it_is_no_child_of_the_window(server: Path) -> None:
    parent = (server / "stat").read_text().rpartition(")")[2].split()[1]
    assert b"remit.py" not in (server.parent / parent / "cmdline").read_bytes()


async def test_its_standard_streams_lead_nowhere_but_to_the_log(server: Path, home: Path) -> None:
    streams = [os.readlink(server / "fd" / name) for name in "012"]
    assert streams == ["/dev/null", f"{home}/server.log", f"{home}/server.log"]


async def test_it_inherits_no_descriptor(
    checkout: Checkout, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMIT_SOFT", "yes")
    with (tmp_path / "open-in-the-host").open("w") as file:
        command = [sys.executable, str(checkout.launcher)]
        descriptors = [file.fileno()]
        pipe = subprocess.PIPE
        async with await anyio.open_process(command, pass_fds=descriptors, stdin=pipe, stdout=pipe) as process:
            assert process.stdin
            assert process.stdout
            await process.stdin.send(b'{"id": 1, "method": "echo"}\n')
            await process.stdout.receive()
            inherited = os.readlink(f"/proc/{process.pid}/fd/{file.fileno()}")
    assert inherited == file.name
    assert [name for name in _descriptors(servers(home)[0]) if name == file.name or name.startswith("pipe:")] == []


async def test_its_environment_is_the_least_it_needs(server: Path, home: Path) -> None:
    environment = dict(entry.split("=", 1) for entry in (server / "environ").read_text().split("\0") if entry)
    assert {name for name in environment if name not in KEPT and not name.startswith(KEPT_PREFIXES)} == set()
    assert environment["REMIT_HOME"] == str(home)
    assert environment["REMIT_MAX_RUNNING"] == "7"
    assert environment["LC_TIME"] == "C"
    assert environment["PATH"] == os.environ["PATH"]


def _descriptors(pid: int) -> list[str]:
    return [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
