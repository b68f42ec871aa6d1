"""Tasks that begin, wait to be told to go on, and are looked at while the fault lasts."""

from collections.abc import Callable
from pathlib import Path

import anyio

from tests import servers
from tests.faults import working_in
from tests.servers import Host

HELD = "touch begun; while [ ! -e go ]; do sleep 0.02; done"
"""A command that waits for `go`."""


async def until(host: Host, task_id: str, holds: Callable[[], bool]) -> None:
    """Ask for a task again and again until something holds beside it."""
    with anyio.fail_after(servers.PATIENCE):
        while not holds():
            await host.call("get_task", id=task_id)


async def begun(host: Host, home: Path, task_id: str) -> Path:
    """Return the folder of a task, once its command has begun."""
    folder = home / "workspaces" / task_id
    await until(host, task_id, (folder / "begun").exists)
    return folder


async def logged(host: Host, home: Path, task_id: str, line: str) -> None:
    """Wait until the server's log has such a line."""
    await until(host, task_id, lambda: line in (home / "server.log").read_text())


def goes_on(folder: Path) -> None:
    """Let a command that is held go on."""
    (folder / "go").touch()


def is_at_work(folder: Path) -> bool:
    """Return whether a process works in a task's folder."""
    return bool(working_in(folder))


async def waiting(host: Host, task_id: str, reason: str) -> None:
    """Wait until a task says that it waits for something."""
    while True:
        task = await host.call("get_task", id=task_id)
        assert task["status"] in ("pending", "running"), task
        if any(reason in warning for warning in task.get("warnings", [])):
            return
