"""The size of a command's workspace, and the free space of the disks that it writes to."""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

import anyio

from server.limits import MIB
from server.runner.monitoring.disks import INODE_BYTES, Disks
from server.runner.monitoring.usage import deleted_bytes, too_large_a_workspace
from server.runner.policy import SandboxPolicy

_log = logging.getLogger(__name__)

FIRST_SECONDS = 2.0  # most commands have ended by then
PAUSE_SECONDS = 5.0  # at least, between two measurements
IDLE_SHARE = 20  # length of a pause, in durations of the last measurement: at most 5 % of one core
LAST_SECONDS = 5.0  # how long the end of a command waits for the last measurement
MUCH_BYTES = 64 * MIB  # a short command is measured, too, if the disks lost this much


class DiskUsage:
    """Repeated measurement of a command's workspace, and of its HOME if that is kept.

    `du` runs as a process of its own, since a large tree takes it seconds.

    A user's folder is not measured, as much of it was there before. Not counted: folders that the command closed to
    its own user, unless that is root; deleted files that it keeps open, if it hides its descriptors. The free space of
    the disks is read each time, and includes both.
    """

    def __init__(self, policy: SandboxPolicy, private: Sequence[Path], root: int, now: float) -> None:
        """Create the measurement. The `root` process may write its `private` folders and those of its policy.

        To be made before the command starts, since the command may remove its workspace. Raises OSError if a folder
        does not exist. `now` is in seconds of `anyio.current_time`, as in all methods.
        """
        measured = (policy.workspace,) if policy.owner == "task" and policy.access == "read-write" else ()
        self._folders = (*measured, *((policy.home,) if policy.home else ()))
        self._limits, self._root = policy.limits, root
        self._began = now
        self._disks = Disks((*policy.written, *private))
        self._free = self._disks.free_bytes()
        self._due = now + FIRST_SECONDS
        self._measurement: _Measurement | None = None

    def full_disk(self) -> str | None:
        """Return the limit of a disk with too little free space, as a phrase for users; None if all have enough."""
        return self._disks.too_full(self._limits)

    async def exceeded(self, now: float) -> str | None:
        """Return the limit that is exceeded, as a phrase for users: of a disk, or by a measurement that just ended."""
        if full := self.full_disk():
            return full
        if self._measurement is None:
            if now >= self._due:
                self._begin(now)
            return None
        if not self._measurement.has_ended():
            return None
        self._due = now + max(PAUSE_SECONDS, IDLE_SHARE * (now - self._measurement.began))
        return await self._verdict()

    async def exceeded_at_end(self, now: float) -> str | None:
        """Return the limit that is exceeded after the command's end; measures again unless it was short and small."""
        lost = self._free - self._disks.free_bytes()
        if (full := self.full_disk()) or (now - self._began < FIRST_SECONDS and lost < MUCH_BYTES):
            return full
        self._break_off()
        self._begin(now)
        with anyio.move_on_after(LAST_SECONDS):
            if self._measurement:
                await self._measurement.end()
                return await self._verdict()
        return None

    def close(self) -> None:
        """Stop a running measurement and close the disks. Nothing can be measured afterwards."""
        self._break_off()
        self._disks.close()

    def _break_off(self) -> None:
        if self._measurement:
            self._measurement.kill()
            self._measurement = None

    def _begin(self, now: float) -> None:
        if not self._folders:
            self._due = math.inf
            return
        try:
            self._measurement = _Measurement(self._folders, now)
        except OSError as error:  # too many processes, or no `du` here: the other limits still hold
            _log.warning("the size of a workspace cannot be measured: %s", error)
            self._due = now + PAUSE_SECONDS

    async def _verdict(self) -> str | None:
        assert self._measurement
        taken, self._measurement = self._measurement.bytes(), None
        if taken <= self._limits.workspace_bytes:
            taken += await anyio.to_thread.run_sync(deleted_bytes, self._root, self._disks.devices)
        return too_large_a_workspace(self._limits) if taken > self._limits.workspace_bytes else None


class _Measurement:
    """A measurement of some folders: one process sums up the sizes, another counts the files."""

    def __init__(self, folders: Sequence[Path], now: float) -> None:
        self.began = now
        self._sizes = _du("--block-size=1", folders)
        try:
            self._inodes = _du("--inodes", folders)
        except OSError:
            _kill(self._sizes)
            raise

    def has_ended(self) -> bool:
        return self._sizes.poll() is not None and self._inodes.poll() is not None

    async def end(self) -> None:
        for process in (self._sizes, self._inodes):
            ended = os.pidfd_open(process.pid)
            try:
                await anyio.wait_readable(ended)
            finally:
                os.close(ended)

    def bytes(self) -> int:
        """Return the total. To be called after the end; a process that failed counts as 0."""
        return _total(self._sizes) + _total(self._inodes) * INODE_BYTES

    def kill(self) -> None:
        _kill(self._sizes)
        _kill(self._inodes)


def _du(unit: str, folders: Sequence[Path]) -> Popen[bytes]:
    argv = ("nice", "du", "-sc", unit, "--", *map(str, folders))
    return Popen(argv, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env={"PATH": "/usr/bin:/bin"}, cwd="/")


def _total(du: Popen[bytes]) -> int:
    *_, total = du.communicate()[0].splitlines() or [b""]
    return int(total.partition(b"\t")[0] or 0)


def _kill(du: Popen[bytes]) -> None:
    du.kill()
    du.communicate()
