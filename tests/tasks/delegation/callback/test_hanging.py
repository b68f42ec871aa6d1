"""A task whose requests through its callback hang: it can be cancelled, and the server can be stopped."""

import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests import servers
from tests.homes import Windows
from tests.runner.commands import until
from tests.servers import Host
from tests.tasks.delegation.conftest import files

pytestmark = [pytest.mark.anyio, pytest.mark.namespaces]

SECONDS = 5
"""That the end of a task may take."""

HANGS = """```sh
git init -q --bare bare
mv bare/* .
mkfifo packed-refs
cp $TASK_UPLOADS/visitor.py $TASK_UPLOADS/script.py $TMPDIR
cd $TMPDIR
exec python3 -I -S script.py
```"""
"""A folder that is made a repository, whose references nobody can read to their end."""

ASKS = """
import json, os, sys, threading, time
sys.path.insert(0, os.environ["TMPDIR"])
from visitor import Visitor
def ask():
    visitor = Visitor()
    visitor.begin()
    visitor.send(id=9, method="tools/call", params={"name": "create_task", "arguments": {
        "message": "true", "workspace": {"path": ".", "mode": "worktree"}}})
    visitor.receive()
for _ in range(8):
    threading.Thread(target=ask, daemon=True).start()
folder = os.environ["FOLDER"]
while True:
    with open(folder + "/alive", "w") as file:
        file.write(str(time.time()))
    time.sleep(0.05)
"""


@pytest.fixture
def folder(place: Path) -> Path:
    """A folder of the person's."""
    folder = place / "plain"
    folder.mkdir()
    return folder


async def hanging(host: Host, folder: Path, **arguments: Any) -> str:
    """Return the id of a task whose requests hang, once git is at work for them."""
    uploads = [*files(), {"path": "script.py", "content": ASKS}]
    workspace = {"path": str(folder), "mode": "readwrite"}
    task_id = await host.create(HANGS, files=uploads, workspace=workspace, env={"FOLDER": str(folder)}, **arguments)
    await until(lambda: _asking(folder))
    return task_id


def _asking(folder: Path) -> list[str]:
    """Return the processes of git that look at the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if command[0] == b"git" and b"rev-parse" in command and str(folder).encode() in command:
                found.append(entry.name)
    return found


async def test_it_is_cancelled_within_five_seconds(host: Host, folder: Path) -> None:
    task_id = await hanging(host, folder)
    with anyio.fail_after(SECONDS):
        await host.call("cancel_task", id=task_id)
        await host.until(task_id, "cancelled")
    assert not _asking(folder)
    alive = (folder / "alive").read_text()
    await host.done("$ sleep 0.3")
    assert (folder / "alive").read_text() == alive


async def test_it_times_out_when_its_time_is_over(host: Host, folder: Path) -> None:
    task_id = await hanging(host, folder, timeoutSeconds=3)
    with anyio.fail_after(3 + SECONDS):
        assert (await host.until(task_id, "failed"))["errorCode"] == "TIMEOUT"


async def test_it_keeps_no_server_from_stopping(own_window: Windows, folder: Path) -> None:
    async with own_window() as host:
        await hanging(host, folder)
        (server,) = servers.servers(host.home)
        with anyio.fail_after(SECONDS):
            await anyio.to_thread.run_sync(servers.end, server, signal.SIGTERM)
