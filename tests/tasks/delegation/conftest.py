"""Servers whose shell agent may hand on sub-tasks, and what a program in a task does by its callback channel."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.homes import Windows, own_home, shared_windows
from tests.models.shared import asking, model, shared_endpoint
from tests.servers import Host

__all__ = ["asking", "model", "own_home", "shared_endpoint", "shared_windows"]

VISITOR = Path(__file__).with_name("visitor.py").read_text()
RUN = "$ python3 -I -S uploads/visitor.py uploads/calls.json"

Call = tuple[str, dict[str, Any]]


@pytest.fixture(scope="package")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the setting `workspaces` names."""
    return tmp_path_factory.mktemp("allowed").resolve()


@pytest.fixture
def place(allowed: Path, tmp_path: Path) -> Path:
    """A folder of the test's own in it."""
    folder = allowed / tmp_path.name
    folder.mkdir()
    return folder


@pytest.fixture
def variables(allowed: Path) -> dict[str, Any]:
    """The settings of a server with such a shell agent."""
    return {"REMIT_AGENTS__SHELL__DELEGATE": "true", "REMIT_WORKSPACES": json.dumps([str(allowed)])}


@pytest.fixture
def window(shared_windows: Windows, variables: dict[str, Any]) -> Windows:
    """A window on a server with these settings and more of them; tests with the same ones share it."""

    def opened(**more: Any) -> AbstractAsyncContextManager[Host]:
        return shared_windows(**{**variables, **more})

    return opened


@pytest.fixture
def own_window(own_home: Path, variables: dict[str, Any]) -> Windows:
    """The same on a server of the test's own, for those that end it or count its tasks."""

    def opened(**more: Any) -> AbstractAsyncContextManager[Host]:
        return servers.host(own_home, **{**variables, **more})

    return opened


@pytest.fixture
async def host(window: Windows) -> AsyncIterator[Host]:
    """A window on the server that most tests share."""
    async with window() as host:
        yield host


def files(calls: Sequence[Call] = ()) -> list[dict[str, str]]:
    """Return the uploads of a task that makes these calls."""
    contents = {"visitor.py": VISITOR, "calls.json": json.dumps(calls)}
    return [{"path": name, "content": content} for name, content in contents.items()]


async def visited(host: Host, *calls: Call, **arguments: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a task that makes these calls through its callback channel, once it has ended, and what came back."""
    task = await host.done(RUN, files=files(calls), **arguments)
    task = await host.call("get_task", id=task["id"], include=["events"], maxChars=1_000_000)
    assert task["status"] == "completed", (task["error"], task["output"])
    return task, [json.loads(line) for line in task["output"]["content"].splitlines()]


async def run(host: Host, script: str, **arguments: Any) -> dict[str, Any]:
    """Return a task that runs a script of Python which can import `Visitor`, once it has ended."""
    start = "import json, os, sys; sys.path.insert(0, 'uploads'); from visitor import Visitor\n"
    uploads = [*files(), {"path": "script.py", "content": start + script}]
    task = await host.done("$ python3 -I -S uploads/script.py", files=uploads, **arguments)
    return await host.call("get_task", id=task["id"], include=["events"], maxChars=1_000_000)


def attempts(task: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the refused attempts that the log of a task tells of: their codes, and the tools."""
    told = [event["data"] for event in task["events"] if event["type"] == "error"]
    return [(error["code"], error.get("toolName", "")) for error in told]
