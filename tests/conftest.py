"""Fixtures every test shares; first of all, nothing may be left behind."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from time import monotonic, sleep

import anyio
import pytest
from hypothesis import settings

from server.errors import RemitError
from server.runner.detection import find_sandbox
from tests.needs import lacks

CLOSING_SECONDS = 2.0
"""Far above what it takes to close a connection whose other end is closed."""


@cache
def _tier() -> str:
    try:
        return anyio.run(find_sandbox).tier
    except RemitError as error:
        return f"none ({error.message})"


settings.register_profile("quick", deadline=None, max_examples=60)
settings.register_profile("thorough", deadline=None, max_examples=400)
settings.load_profile("quick")  # `make test-all` loads the other one


def pytest_configure() -> None:
    """Make processes that the tests start obey Ctrl-C, even if the tests run in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say in which tier of the sandbox the tests run their tasks, and which tests are chosen."""
    return [f"sandbox: {_tier()}", f"tests: {config.getoption('markexpr')} (`make test-all` runs all)"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what only the strongest tier promises where this machine does not have it."""
    parameters = getattr(item, "callspec", None)
    named = parameters is not None and parameters.params.get("tier") == "namespaces"
    if (named or item.get_closest_marker("namespaces")) and _tier() != "namespaces":
        lacks(f"this is for the namespaces tier; here is {_tier()}")


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a process or a file descriptor behind."""
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    before = _descriptors()
    yield
    left = _processes_of(folder) if folder or _has_children() else {}
    assert not left, f"processes left behind: {left}"
    new = _left_of(lambda: {fd: target for fd, target in _descriptors().items() if before.get(fd) != target})
    assert not new, f"file descriptors left open: {new}"


def _left_of(look: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Return what is found, once nothing is or for a while: a thread that tests share may just be closing it."""
    deadline = monotonic() + CLOSING_SECONDS
    while (found := look()) and monotonic() < deadline:
        sleep(0.01)
    return found


def _descriptors() -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue  # the descriptor of this very listing
        if not target.startswith(("anon_inode:[eventpoll]", "/proc/")):
            found[entry.name] = target
    return found


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _processes_of(folder: Path | None) -> dict[int, str]:
    """Processes started by this one or that name or work in `folder`, by pid."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            cwd = os.readlink(entry / "cwd")
        except OSError:
            continue  # it ended meanwhile
        if parent == os.getpid() or (folder and (str(folder) in command or cwd.startswith(str(folder)))):
            found[int(entry.name)] = command or "(a zombie)"
    return found


@pytest.fixture
def anyio_backend() -> str:
    """The store speaks to SQLite through a library that knows asyncio alone."""
    return "asyncio"
