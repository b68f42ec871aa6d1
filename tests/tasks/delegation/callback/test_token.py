"""The token of a callback channel: useless after its run and outside its sandbox, and stored nowhere else."""

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.runner.network.callback import WRONG_PLACE, WRONG_TOKEN
from tests import servers
from tests.homes import Windows
from tests.runner.commands import processes_with
from tests.servers import PATIENCE, Host
from tests.tasks.delegation.conftest import attempts, files, run

pytestmark = pytest.mark.anyio

SHARED = {"REMIT_AGENTS__SHELL__NETWORK": "full"}
HOLD = """
with open("open.txt", "w") as file:
    file.write(os.environ["REMIT_DOOR"] + " " + os.environ["REMIT_TOKEN"])
os.rename("open.txt", "opens.txt")
import time
while not os.path.exists("go"):
    time.sleep(0.01)
print(os.environ["REMIT_TOKEN"])
"""
VISIT = """
visitor = Visitor({token!r}, {address!r})
print(json.dumps(visitor.receive()))
"""

Open = Callable[..., AbstractAsyncContextManager[tuple[str, str, Callable[[], Any]]]]


@pytest.fixture
def held() -> Open:
    """A run with a callback channel while the block lasts: its address, its token, and what ends it."""

    @asynccontextmanager
    async def opened(host: Host) -> AsyncIterator[tuple[str, str, Callable[[], Any]]]:
        start = "import json, os, sys; sys.path.insert(0, 'uploads'); from visitor import Visitor\n"
        uploads = [*files(), {"path": "script.py", "content": start + HOLD}]
        task_id = await host.create("$ python3 -I -S uploads/script.py", files=uploads)
        folder = host.home / "workspaces" / task_id
        with anyio.fail_after(PATIENCE):
            while not (folder / "opens.txt").exists():  # noqa: ASYNC110 - the sandbox sets no event
                await anyio.sleep(0.01)
        address, _, token = (folder / "opens.txt").read_text().partition(" ")

        async def ended() -> dict[str, Any]:
            (folder / "go").touch()
            await host.until(task_id, "completed")
            return await host.call("get_task", id=task_id, include=["events"])

        yield address, token, ended

    return opened


def shown(address: str, token: str) -> dict[str, Any]:
    """Return what a process outside any sandbox is answered."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as visitor:
        visitor.sendall(token.encode() + b"\n")
        answer: dict[str, Any] = json.loads(visitor.makefile().readline())
        return answer


def holding(folder: Path, text: str) -> list[Path]:
    """Return the files beneath `folder` that hold `text`."""
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


async def test_it_opens_nothing_for_a_process_outside(window: Windows, held: Open) -> None:
    async with window(**SHARED) as host, held(host) as (address, token, ended):
        answer = await anyio.to_thread.run_sync(shown, address, token)
        task = await ended()
    assert answer["error"]["message"] == WRONG_PLACE
    assert attempts(task) == [("FORBIDDEN", "")]


async def test_it_opens_nothing_for_another_sandbox(window: Windows, held: Open) -> None:
    async with window(**SHARED) as host, held(host) as (address, token, ended):
        other = await run(host, VISIT.format(address=address, token=token))
        task = await ended()
    assert json.loads(other["output"]["content"])["error"]["message"] == WRONG_PLACE
    assert attempts(task) == [("FORBIDDEN", "")]


async def test_it_opens_no_other_channel(window: Windows, held: Open) -> None:
    async with window(**SHARED) as host, held(host) as (_, token, ended):
        other = await run(host, VISIT.format(address=None, token=token))
        await ended()
    assert json.loads(other["output"]["content"])["error"]["message"] == WRONG_TOKEN
    assert attempts(other) == [("FORBIDDEN", "")]


@pytest.mark.namespaces
async def test_a_channel_of_another_network_is_not_even_there(window: Windows, held: Open) -> None:
    async with window() as host, held(host) as (address, token, ended):
        with pytest.raises(ConnectionRefusedError):
            await anyio.to_thread.run_sync(shown, address, token)
        await ended()


async def test_it_opens_nothing_after_its_run(window: Windows, held: Open) -> None:
    async with window(**SHARED) as host, held(host) as (address, token, ended):
        await ended()
        with pytest.raises(ConnectionRefusedError):
            await anyio.to_thread.run_sync(shown, address, token)


async def test_it_is_masked_and_written_nowhere(own_window: Windows, held: Open) -> None:
    async with own_window() as host, held(host) as (_, token, ended):
        assert processes_with(token) == []
        task = await ended()
    assert task["output"]["content"] == "[secret REMIT_TOKEN]\n"
    servers.kill(host.home)
    assert [path.name for path in holding(host.home, token)] == ["opens.txt"]  # which the task itself has written


async def test_it_is_no_word_for_the_servers_own_socket(window: Windows, held: Open) -> None:
    async with window() as host, held(host) as (_, token, ended):
        async with await anyio.connect_unix(host.home / "remit.sock") as visitor:
            await visitor.send(token.encode() + b"\n")
            answer = json.loads(await visitor.receive())
        await ended()
    assert answer["remit"]["error"]["code"] == "VALIDATION_ERROR"
