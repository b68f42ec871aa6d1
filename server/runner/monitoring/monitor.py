"""The monitor that enforces a running command's limits."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio

from server.concurrency import in_background
from server.runner.cgroups.control_group import ControlGroup
from server.runner.monitoring.disk_usage import DiskUsage
from server.runner.monitoring.usage import exceeded, exceeded_in, explained, too_many_processes
from server.runner.policy import Exit, SandboxPolicy
from server.runner.process import Subprocess

MEASURE_SECONDS = 1.0  # between two measurements of memory and processor time
COUNT_SECONDS = 0.1  # between two counts of processes: a fork bomb fills a machine within a second


class Monitor:
    """Measures a running command, and ends it when it exceeds a limit."""

    def __init__(
        self, process: Subprocess, policy: SandboxPolicy, private: Sequence[Path], group: ControlGroup | None
    ) -> None:
        """Create the monitor before the command starts, which may write its `private` folders and those of its policy.

        Raises OSError if one of these folders does not exist.
        """
        self._process, self._limits, self._group = process, policy.limits, group
        self._disk_usage = DiskUsage(policy, private, process.pid, anyio.current_time())
        self._is_grouped = group is not None and {"processes", "memory", "processor time"} <= group.features
        self._exceeded: str | None = None

    async def until_end(self, take: Callable[[], Awaitable[None]]) -> Exit:
        """Enforce the limits while `take` reads the command's output, and return the command's exit."""
        start = anyio.current_time()
        await self._end_if(self._disk_usage.full_disk())
        async with in_background(self._watch):
            await take()
            status = await self._process.wait()
        seconds = anyio.current_time() - start
        limit = self._exceeded or explained(status, self._limits) or self._exceeded_in_group()
        limit = limit or await self._disk_usage.exceeded_at_end(anyio.current_time())
        return Exit(status=status, seconds=seconds, limit=limit)

    def close(self) -> None:
        """Stop measuring."""
        self._disk_usage.close()

    async def _watch(self) -> None:
        """Measure repeatedly, until cancelled."""
        next_measurement = anyio.current_time() + MEASURE_SECONDS
        while True:
            await anyio.sleep(COUNT_SECONDS)
            await self._end_if(self._exceeded_in_group() or self._counted())
            await self._end_if(await self._disk_usage.exceeded(anyio.current_time()))
            if anyio.current_time() >= next_measurement and not self._is_grouped:
                await self._end_if(await anyio.to_thread.run_sync(exceeded, self._process.pid, self._limits))
                next_measurement = anyio.current_time() + MEASURE_SECONDS

    def _exceeded_in_group(self) -> str | None:
        return exceeded_in(self._group, self._limits) if self._group else None

    def _counted(self) -> str | None:
        outnumbers = not self._is_grouped and self._process.outnumbers(self._limits.processes)
        return too_many_processes(self._limits) if outnumbers else None

    async def _end_if(self, limit: str | None) -> None:
        if limit and not self._exceeded:
            self._exceeded = limit
            await self._process.end()
