"""Staying with a command until its end."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio

from server.concurrency import in_background
from server.runner.cgroups.control_group import ControlGroup
from server.runner.monitoring.disk_usage import DiskUsage
from server.runner.monitoring.usage import exceeded, exceeded_in, explained, too_many_processes
from server.runner.policy import Exit, SandboxPolicy
from server.runner.process import Subprocess

LOOK_SECONDS = 1.0  # between two looks at what a tree uses
GLANCE_SECONDS = 0.1  # between two glances at how many they are: a fork bomb fills a machine within a second


class Monitor:
    """Stays with a command until its end, and sees to its limits."""

    def __init__(
        self, process: Subprocess, policy: SandboxPolicy, private: Sequence[Path], group: ControlGroup | None
    ) -> None:
        """Of a command that has not begun, and writes `private` folders beside those of its policy.

        Raises OSError where one of them is gone.
        """
        self._process, self._limits, self._group = process, policy.limits, group
        self._disk_usage = DiskUsage(policy, private, process.pid, anyio.current_time())
        self._is_grouped = group is not None and {"processes", "memory", "processor time"} <= group.features
        self._exceeded: str | None = None

    async def until_end(self, take: Callable[[], Awaitable[None]]) -> Exit:
        """See to the limits while `take` takes the command's output to its end, and until the command's own."""
        start = anyio.current_time()
        await self._judge(self._disk_usage.crowded())
        async with in_background(self._watch):
            await take()
            status = await self._process.wait()
        seconds = anyio.current_time() - start
        limit = self._exceeded or explained(status, self._limits) or self._told_by_group()
        limit = limit or await self._disk_usage.exceeded_at_end(anyio.current_time())
        return Exit(status=status, seconds=seconds, limit=limit)

    def close(self) -> None:
        """Look at nothing any more."""
        self._disk_usage.close()

    async def _watch(self) -> None:
        """Look at the limits now and again."""
        next_look = anyio.current_time() + LOOK_SECONDS
        while True:
            await anyio.sleep(GLANCE_SECONDS)
            await self._judge(self._told_by_group() or self._counted())
            await self._judge(await self._disk_usage.exceeded(anyio.current_time()))
            if anyio.current_time() >= next_look and not self._is_grouped:
                await self._judge(await anyio.to_thread.run_sync(exceeded, self._process.pid, self._limits))
                next_look = anyio.current_time() + LOOK_SECONDS

    def _told_by_group(self) -> str | None:
        return exceeded_in(self._group, self._limits) if self._group else None

    def _counted(self) -> str | None:
        outnumbers = not self._is_grouped and self._process.outnumbers(self._limits.processes)
        return too_many_processes(self._limits) if outnumbers else None

    async def _judge(self, limit: str | None) -> None:
        if limit and not self._exceeded:
            self._exceeded = limit
            await self._process.end()
