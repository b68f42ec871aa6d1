"""Staying with a command until its end."""

from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import TypeVar

import anyio

from server.runner.gauge import Gauge
from server.runner.limits import exceeded, explained, too_large_a_workspace, too_many_processes
from server.runner.policy import Exit, SandboxPolicy
from server.runner.process import Subprocess

LOOK_SECONDS = 1.0  # between two looks at what a tree uses
GLANCE_SECONDS = 0.1  # between two glances at how many they are: a fork bomb fills a machine within a second

T = TypeVar("T")


class Attendance:
    """Stays with a command until its end: takes its output, and sees to its limits."""

    def __init__(self, process: Subprocess, policy: SandboxPolicy) -> None:
        self._process, self._limits = process, policy.limits
        self._start = anyio.current_time()
        self._gauge = Gauge(policy.workspace, policy.limits.workspace_bytes, self._start)
        self._next_glance = self._start + GLANCE_SECONDS
        self._next_look = self._start + LOOK_SECONDS
        self._exceeded: str | None = None

    async def until_end(self, output: Callable[[bytes], Awaitable[None]]) -> Exit:
        """Take the command's output, until its end."""
        with closing(self._gauge):
            while chunk := await self._looking(self._process.receive):
                await output(chunk)
            return self.exit(await self._looking(self._process.wait))

    async def watch(self) -> None:
        """See to the limits alone, until cancelled; the output is for somebody else to take."""
        with closing(self._gauge):
            await self._looking(anyio.sleep_forever)

    def exit(self, status: int) -> Exit:
        """What the end with this status means."""
        limit = self._exceeded or explained(status, self._limits)
        return Exit(status=status, seconds=anyio.current_time() - self._start, limit=limit)

    async def _looking(self, step: Callable[[], Awaitable[T]]) -> T:
        """Await `step`, which may be cancelled and called again, and look at the limits in between."""
        while True:
            with anyio.CancelScope(deadline=self._next_glance):
                return await step()
            self._next_glance = anyio.current_time() + GLANCE_SECONDS
            if self._process.outnumbers(self._limits.processes):
                await self._judge(too_many_processes(self._limits))
            if self._gauge.exceeded(anyio.current_time()):
                await self._judge(too_large_a_workspace(self._limits))
            if anyio.current_time() >= self._next_look:
                await self._judge(await anyio.to_thread.run_sync(exceeded, self._process.pid, self._limits))
                self._next_look = anyio.current_time() + LOOK_SECONDS

    async def _judge(self, limit: str | None) -> None:
        if limit and not self._exceeded:
            self._exceeded = limit
            await self._process.end()
