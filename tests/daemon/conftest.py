"""Shared fixtures: state folders whose servers are ended, checkouts of any version, windows of a host."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from server.daemon import handshake
from server.daemon.paths import StatePaths, find_state_paths
from server.pipe.messages import ENVELOPE
from server.version import VERSION

ROOT = Path(__file__).parents[2]
PATIENCE = 20  # seconds: far above what anything here takes

META = {
    ENVELOPE: "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
"""What a request of 2026-07-28 says of its sender."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the test's own, named by REMIT_HOME; the server that a test starts in it is ended."""
    for name in [name for name in os.environ if name.startswith("REMIT_")]:
        monkeypatch.delenv(name)
    yield from _home(tmp_path / "state", monkeypatch)


@pytest.fixture
def deep_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same with a name that is too long for the address of a socket."""
    yield from _home(home / "/".join(["deep"] * 30), monkeypatch)


def _home(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("REMIT_HOME", str(state))
    yield state
    for pid in servers(state):
        _end(pid)
    assert servers(state) == []


@pytest.fixture
def paths(home: Path) -> StatePaths:
    found = find_state_paths()
    found.prepare()
    return found


def servers(state: Path) -> list[int]:
    """Return the pids of the server processes of a state folder: its owner, and those that are still starting.

    A hardened server hides its environment from all but root, so the owner is known by what it wrote into the lock.
    """
    lock = state / "server.lock"
    owner = lock.read_text().strip() if lock.exists() else ""
    found = {pid for pid in _processes() if f"REMIT_HOME={state}".encode() in _listed(pid, "environ")}
    found |= {int(owner)} if owner else set()
    return [pid for pid in sorted(found) if command_line(pid)[-1:] == [b"serve"]]


async def held(lock: Path) -> None:
    """Return when somebody holds the flock on a file."""
    with anyio.fail_after(PATIENCE):
        while not _is_held(lock):
            await anyio.lowlevel.checkpoint()


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    inode = f":{lock.stat().st_ino} "
    return any(inode in line for line in Path("/proc/locks").read_text().splitlines())


def command_line(pid: int) -> list[bytes]:
    """Return the arguments of a process; none if it has ended."""
    return _listed(pid, "cmdline")


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _listed(pid: int, name: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        ended, _, _ = select.select([process], [], [], PATIENCE)
        if not ended:
            os.kill(pid, signal.SIGKILL)
        os.close(process)
        assert ended, f"server {pid} did not heed SIGTERM"


class Window:
    """A host's side of a remit that it started: both ends of its standard streams, and its last words."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self.process = process
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)
        self._stderr = process.stderr

    async def ask(self, key: int | str, method: str, **params: Any) -> None:
        await self.send({"jsonrpc": "2.0", "id": key, "method": method, "params": params})

    async def send(self, message: dict[str, Any]) -> None:
        await self.send_line(json.dumps(message).encode())

    async def send_line(self, line: bytes, end: bytes = b"\n") -> None:
        await self._stdin.send(line + end)

    async def answer(self) -> dict[str, Any]:
        with anyio.fail_after(PATIENCE):
            answer: dict[str, Any] = json.loads(await self._stdout.receive_until(b"\n", 64 * 1024**2))
        return answer

    async def call(self, key: int | str, method: str, **params: Any) -> dict[str, Any]:
        await self.ask(key, method, **params)
        return await self.answer()

    async def close(self) -> int:
        """Close the window as a host does, and return the exit status."""
        await self._stdin.aclose()
        return await self.end()

    async def end(self) -> int:
        with anyio.fail_after(PATIENCE):
            return await self.process.wait()

    async def last_words(self) -> str:
        with anyio.fail_after(PATIENCE):
            return b"".join([chunk async for chunk in self._stderr]).decode()


class Launcher:
    """A `remit.py` that windows are opened with."""

    def __init__(self, launcher: Path, stack: AsyncExitStack) -> None:
        self.launcher = launcher
        self._stack = stack

    async def window(self, *, cwd: Path | None = None, **environment: str) -> Window:
        process = await anyio.open_process(
            [sys.executable, str(self.launcher)],
            env={**os.environ, **environment},
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        return Window(await self._stack.enter_async_context(process))


class Checkout(Launcher):
    """A folder with our launcher and our modules in it, and the stand-in for the application."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        super().__init__(folder / "remit.py", stack)
        ignored = shutil.ignore_patterns("__pycache__", "app.py")
        shutil.copytree(ROOT / "server", folder / "server", ignore=ignored)
        shutil.copy(ROOT / "remit.py", self.launcher)
        shutil.copy(Path(__file__).with_name("stand_in.py"), folder / "server" / "app.py")

    def numbered(self, version: str = VERSION, protocol: int = handshake.PROTOCOL) -> Self:
        """Return the same with another version, or another number of the protocol."""
        _replace(self.launcher.parent / "server" / "version.py", f'VERSION = "{VERSION}"', f'VERSION = "{version}"')
        module = self.launcher.parent / "server" / "daemon" / "handshake.py"
        _replace(module, f"PROTOCOL = {handshake.PROTOCOL}\n", f"PROTOCOL = {protocol}\n")
        return self


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.fixture
async def stack(home: Path) -> AsyncIterator[AsyncExitStack]:
    """What windows are closed by at the end of a test, before its server is ended."""
    async with AsyncExitStack() as entered:
        yield entered
        with anyio.fail_after(PATIENCE):
            await entered.aclose()


@pytest.fixture
def new_checkout(tmp_path: Path, stack: AsyncExitStack) -> Callable[[str], Checkout]:
    """Makes checkouts by name."""
    return lambda name: Checkout(tmp_path / name, stack)


@pytest.fixture
def checkout(new_checkout: Callable[[str], Checkout]) -> Checkout:
    return new_checkout("checkout")


@pytest.fixture
def real(stack: AsyncExitStack) -> Launcher:
    """The launcher of this very repository, with the real application behind it."""
    return Launcher(ROOT / "remit.py", stack)
