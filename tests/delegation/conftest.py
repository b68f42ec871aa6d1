"""Servers whose shell agent may hand on sub-tasks, and what a program in such a task does through its door."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.servers import Host

VISITOR = Path(__file__).with_name("visitor.py").read_text()
RUN = "$ python3 -I -S uploads/visitor.py uploads/calls.json"
SETTINGS = {"REMIT_AGENTS__SHELL__DELEGATE": "true"}

Call = tuple[str, dict[str, Any]]
Opened = Callable[..., AbstractAsyncContextManager[Host]]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder, whose server is stopped at the end."""
    with servers.home(tmp_path) as state:
        yield state


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of a server that tests share."""
    with servers.home(tmp_path_factory.mktemp("shared")) as state:
        yield state


@pytest.fixture
def window(state: Path, shared: Path) -> Opened:
    """A window on a server with such a shell agent: a shared one, or with variables, one of the test's own."""

    @asynccontextmanager
    async def opened(**variables: Any) -> AsyncIterator[Host]:
        async with servers.host(state if variables else shared, **{**SETTINGS, **variables}) as host:
            yield host

    return opened


def files(calls: Sequence[Call] = ()) -> list[dict[str, str]]:
    """The uploads of a task that makes these calls."""
    contents = {"visitor.py": VISITOR, "calls.json": json.dumps(calls)}
    return [{"path": name, "content": content} for name, content in contents.items()]


async def visited(host: Host, *calls: Call, **arguments: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A task that makes these calls through its door, once it has ended, and what came back."""
    task = await host.done(RUN, files=files(calls), **arguments)
    task = await host.call("get_task", id=task["id"], include=["events"], maxChars=1_000_000)
    assert task["status"] == "completed", (task["error"], task["output"])
    return task, [json.loads(line) for line in task["output"]["content"].splitlines()]


async def run(host: Host, script: str, **arguments: Any) -> dict[str, Any]:
    """A task that runs a script of Python which can import `Visitor`, once it has ended."""
    start = "import json, os, sys; sys.path.insert(0, 'uploads'); from visitor import Visitor\n"
    uploads = [*files(), {"path": "script.py", "content": start + script}]
    task = await host.done("$ python3 -I -S uploads/script.py", files=uploads, **arguments)
    return await host.call("get_task", id=task["id"], include=["events"], maxChars=1_000_000)


def attempts(task: dict[str, Any]) -> list[tuple[str, str]]:
    """The refused attempts that the log of a task tells of: their codes, and the tools."""
    told = [event["data"] for event in task["events"] if event["type"] == "error"]
    return [(error["code"], error.get("toolName", "")) for error in told]
