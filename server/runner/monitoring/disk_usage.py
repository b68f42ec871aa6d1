"""How much a workspace holds, and how much the disks that its command writes to have left."""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

import anyio

from server.runner.monitoring.disks import INODE_BYTES, Disks
from server.runner.monitoring.usage import deleted_bytes, too_large_a_workspace
from server.runner.policy import MIB, SandboxPolicy

_log = logging.getLogger(__name__)

FIRST_SECONDS = 2.0  # most commands have ended by then
PAUSE_SECONDS = 5.0  # at least, between two measurements
IDLE_SHARE = 20  # a pause is so many times what the measurement took: it costs 5 % of one core at most
LAST_SECONDS = 5.0  # that the end of a command waits for the last measurement
MUCH_BYTES = 64 * MIB  # a disk that has lost so much has a short command measured as well


class DiskUsage:
    """Measures a command's workspace, and its HOME where that lasts, now and then.

    By `du`: a process of its own, since a large tree takes it seconds.

    A folder of a user's is not measured: much of it was there before. What the command has closed to its own user is
    not counted, unless that user is root; nor what it has deleted and keeps open, where it hides its descriptors. The
    disks that the command writes to are glanced at each time, and hide nothing.
    """

    def __init__(self, policy: SandboxPolicy, private: Sequence[Path], root: int, now: float) -> None:
        """For the tree of processes beneath `root`, which writes `private` folders beside those of its policy.

        To be made before the command begins, who may remove its workspace. Raises OSError where that is gone.
        """
        measured = (policy.workspace,) if policy.owner == "task" and policy.access == "read-write" else ()
        self._folders = (*measured, *((policy.home,) if policy.home else ()))
        self._limits, self._root = policy.limits, root
        self._began = now
        self._disks = Disks((*policy.written, *private))
        self._free = self._disks.free_bytes()
        self._due = now + FIRST_SECONDS
        self._measurement: _Measurement | None = None

    def crowded(self) -> str | None:
        """Whether a disk has less left than it must, in words for a person."""
        return self._disks.too_full(self._limits)

    async def exceeded(self, now: float) -> str | None:
        """Which limit is exceeded, by a glance at the disks or by a measurement that has just ended."""
        if full := self.crowded():
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
        """The same when the command has ended, measured anew if it took its time, or much of the disk."""
        lost = self._free - self._disks.free_bytes()
        if (full := self.crowded()) or (now - self._began < FIRST_SECONDS and lost < MUCH_BYTES):
            return full
        self._break_off()
        self._begin(now)
        with anyio.move_on_after(LAST_SECONDS):
            if self._measurement:
                await self._measurement.end()
                return await self._verdict()
        return None

    def close(self) -> None:
        """End a measurement that is under way; nothing can be measured afterwards."""
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
        except OSError as error:  # too many processes, or a machine without these programs: the other limits go on
            _log.warning("the size of a workspace cannot be measured: %s", error)
            self._due = now + PAUSE_SECONDS

    async def _verdict(self) -> str | None:
        assert self._measurement
        taken, self._measurement = self._measurement.bytes(), None
        if taken <= self._limits.workspace_bytes:
            taken += await anyio.to_thread.run_sync(deleted_bytes, self._root, self._disks.devices)
        return too_large_a_workspace(self._limits) if taken > self._limits.workspace_bytes else None


class _Measurement:
    """Of what some folders take up: one process sums up the sizes, and one counts the files."""

    def __init__(self, folders: Sequence[Path], now: float) -> None:
        self.began = now
        self._sizes = _du("--block-size=1", folders)
        try:
            self._inodes = _du("--inodes", folders)
        except OSError:
            _killed(self._sizes)
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
        """Once it has ended; 0 for what could not be told."""
        return _said(self._sizes) + _said(self._inodes) * INODE_BYTES

    def kill(self) -> None:
        _killed(self._sizes)
        _killed(self._inodes)


def _du(unit: str, folders: Sequence[Path]) -> Popen[bytes]:
    argv = ("nice", "du", "-sc", unit, "--", *map(str, folders))
    return Popen(argv, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env={"PATH": "/usr/bin:/bin"}, cwd="/")


def _said(du: Popen[bytes]) -> int:
    *_, total = du.communicate()[0].splitlines() or [b""]
    return int(total.partition(b"\t")[0] or 0)


def _killed(du: Popen[bytes]) -> None:
    du.kill()
    du.communicate()
