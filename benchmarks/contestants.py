"""The two that are held against each other: remit, in a state folder of its own, and the bare server."""

import json
import os
import select
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import bare
from benchmarks.client import Era, Window

_STOP_SECONDS = 10.0
_GOES_ON = ["pending", "running"]


def bare_window(era: Era = "2026-07-28", given: Path | None = None) -> Window:
    """A window on a bare server; `given` is its file."""
    files = [str(given)] if given else []
    return Window([sys.executable, "-P", bare.__file__, *files], _environment(), era)


def write_given(file: Path, tool: dict[str, Any], answer: dict[str, Any]) -> None:
    """Write the file of a bare server that offers `tool` and answers `answer`."""
    file.write_text(json.dumps({"tool": tool, "answer": answer}))


class Home:
    """A state folder of remit; its server is started by the first window and must be ended with `stop`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def window(self, era: Era = "2026-07-28") -> Window:
        """A window on remit, that is a pipe to the server of this folder."""
        command = Path(sys.executable).with_name("remit")
        private = {"REMIT_HOME": str(self.path), "XDG_CONFIG_HOME": str(self.path)}
        # Should this process be killed, the server it leaves behind must not stay long.
        # What lies in a population is old: nothing of it is to be removed while it is looked at.
        kept = {f"REMIT_RETENTION__{name}": "forever" for name in ("TASKS", "EVENTS", "WORKSPACES")}
        return Window([str(command)], _environment() | private | kept | {"REMIT_IDLE_EXIT": "30"}, era)

    def server_pid(self) -> int | None:
        """The process that owns the folder, as its lock says."""
        try:
            return int((self.path / "server.lock").read_text() or 0) or None
        except FileNotFoundError:
            return None

    def stop(self) -> None:
        """End the server, if there is one, and return when it is gone."""
        if pid := self.server_pid():
            _end(pid)


@contextmanager
def temporary_home() -> Iterator[Home]:
    """An empty state folder; however the block is left, its server has ended and the folder is gone."""
    with tempfile.TemporaryDirectory(prefix="remit-bench-") as folder:
        home = Home(Path(folder))
        try:
            yield home
        finally:
            home.stop()


def settled(remit: Window, task: str) -> None:
    """Return once the task is neither pending nor running."""
    while remit.call("get_task", id=task, waitSeconds=45)["status"] in _GOES_ON:
        pass


def all_settled(remit: Window) -> None:
    """Return once no task is pending or running."""
    while going_on := remit.call("list_tasks", limit=1, status=_GOES_ON)["tasks"]:
        settled(remit, going_on[0]["id"])


def rss_mb(pid: int) -> float:
    """Resident memory of a process in MB (10^6 bytes), shared pages included."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6


def _environment() -> dict[str, str]:
    """This environment without the operator's settings of remit, the same for both."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REMIT_")}


def _end(pid: int) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        if not select.select([process], [], [], _STOP_SECONDS)[0]:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [])
    except ProcessLookupError:
        pass
    finally:
        os.close(process)
