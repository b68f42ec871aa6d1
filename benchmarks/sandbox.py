"""The sandbox without a server: bubblewrap with the command line remit gives it, started plainly."""

import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from server.runner.policy import Command, SandboxPolicy
from server.runner.tiers import plan
from server.runner.tiers.bubblewrap import Namespaces
from server.runner.tiers.interpreter import find_interpreter
from server.runner.tiers.plan import Confinement
from server.runner.tiers.scratch import Scratch


@dataclass(frozen=True, slots=True)
class BareSandbox:
    """One workspace, a command line up to the program, the launcher's, and what the launcher is to be told."""

    policy: SandboxPolicy
    bwrap: Sequence[str]
    launcher: Sequence[str]
    confinement: Confinement

    def first_output(self, command: str) -> float:
        """Milliseconds until the first byte of a shell command that bubblewrap starts itself, without the launcher."""
        start = time.perf_counter()
        with self._started("/bin/sh", "-c", command) as process:
            assert process.stdout
            assert process.stdout.read(1)
            return (time.perf_counter() - start) * 1000

    def per_second(self, command: str, count: int, at_once: int) -> float:
        """Shell commands per second, by way of the launcher, in a plain loop on each of `at_once` threads."""
        with ThreadPoolExecutor(at_once) as threads:
            start = time.perf_counter()
            list(threads.map(self._run, [command] * count))
            return count / (time.perf_counter() - start)

    def _run(self, command: str) -> None:
        told = Command(argv=("/bin/sh", "-c", command), env={})
        with self._started(*self.launcher) as process:
            output, _ = process.communicate(plan.encode(told, self.policy, self.confinement))
        assert output == b"ready\ngo\n", output

    def _started(self, *program: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen([*self.bwrap, *program], stdin=pipe, stdout=pipe, env={}, cwd="/")


async def bare_sandbox(workspace: Path) -> BareSandbox:
    """The sandbox of a task that works in `workspace`. Raises RemitError where bubblewrap is missing."""
    policy = SandboxPolicy(workspace=workspace)
    tier = await Namespaces.find(await find_interpreter(), Scratch())
    async with tier.confined(policy, []) as confinement:
        argv = tier.argv(policy, confinement)
        program = argv.index("--") + 1
        return BareSandbox(policy, argv[:program], argv[program:], confinement)
