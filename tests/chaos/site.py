"""The site of a campaign: a state folder, its server, and the windows that are open on it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from random import Random

import anyio

from tests import servers
from tests.chaos.window import Window

DISK_MIB = 256
"""The least size of the disk that is filled, in MiB: about four times what a campaign of two minutes writes."""

DISK_MIB_PER_SECOND = 2.0
"""What a longer campaign gets for each second, in MiB, so that the disk is full only where a fault fills it."""

ANSWER_SECONDS = 15.0
"""Within which users get some answers on any machine: a server starts in 1 s."""


class Site:
    """One state folder and all that works on it."""

    def __init__(self, home: Path, launcher: Path, random: Random) -> None:
        """`launcher` is the `remit.py` that windows and servers are started with."""
        self.home = home
        self.launcher = launcher
        self.random = random
        self.windows: list[Window] = []
        self.kills_at_answer = False
        """Whether the server is killed at the very next answer."""

        self.kills = 0
        self._answers = 0
        self._enough = 0
        self._are_enough = anyio.Event()

    async def answers(self, count: int) -> None:
        """Wait until the server has given so many answers, at most ANSWER_SECONDS."""
        self._enough, self._are_enough = self._answers + count, anyio.Event()
        with anyio.move_on_after(ANSWER_SECONDS):
            await self._are_enough.wait()

    def signal_server(self, number: signal.Signals) -> bool:
        """Send the server a signal; whether there was one."""
        found = servers.servers(self.home)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        self.kills += len(found) * (number is signal.SIGKILL)
        return bool(found)

    def answered(self) -> None:
        """Count an answer, and kill the server if that was to be done at it."""
        self._answers += 1
        if self._answers >= self._enough:
            self._are_enough.set()
        if self.kills_at_answer:
            self.kills_at_answer = False
            self.signal_server(signal.SIGKILL)


@contextmanager
def disk(folder: Path, seconds: float) -> Iterator[Path]:
    """Yield a folder on a small disk of its own, where whoever runs this may mount one; else the folder as it is.

    It has room for a campaign of so many seconds.
    """
    folder.mkdir()
    if not may_mount():
        yield folder
        return
    size = max(DISK_MIB, round(DISK_MIB_PER_SECOND * seconds))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "chaos", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@cache
def may_mount() -> bool:
    """Return whether this user may mount a disk: root may, except in most containers."""
    trial = ["unshare", "--mount", "mount", "-t", "tmpfs", "chaos", "/mnt"]
    return not subprocess.run(trial, check=False, capture_output=True).returncode


def strace() -> str | None:
    """Return the path of strace, which injects faults into system calls; only root may use it on the server."""
    return shutil.which("strace") if os.geteuid() == 0 else None


def faketime() -> str | None:
    """Return the program that starts a server with another clock."""
    return shutil.which("faketime")
