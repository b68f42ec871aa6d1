"""What each tier of the sandbox costs, without a server around it."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from benchmarks.effort import Effort
from benchmarks.measure import NotMeasured, Row, Target, milliseconds
from server.errors import RemitError
from server.runner.detection import find_sandbox
from server.runner.policy import Command, SandboxPolicy
from server.runner.process import ProcessMark
from server.runner.process_tree import descendants
from server.runner.sandbox import Sandbox
from server.tier_names import TIER_NAMES

PROGRAM = "/bin/true"
BARE = ("bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", PROGRAM)


def rows(effort: Effort) -> Iterator[Row]:
    """The start of a command in each tier this machine holds. Raises NotMeasured where bubblewrap is missing."""
    try:
        subprocess.run(BARE, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise NotMeasured("bubblewrap does not run here, which the tiers are held against") from None
    for tier in TIER_NAMES:
        try:
            sandbox = anyio.run(find_sandbox, tier)
        except RemitError:
            continue  # root has no landlock tier
        yield from anyio.run(_of_tier, sandbox, effort)


async def _of_tier(sandbox: Sandbox, effort: Effort) -> list[Row]:
    with TemporaryDirectory(prefix="remit-bench-") as folder:
        policy = SandboxPolicy(workspace=Path(folder))
        starts = [await _start(sandbox, policy) for _ in range(effort.commands + 1)][1:]
        bare = [milliseconds(lambda: subprocess.run(BARE, check=True)) for _ in range(effort.commands)]
        plain = [milliseconds(lambda: subprocess.run((PROGRAM,), check=True)) for _ in range(effort.commands)]
        name = f"{PROGRAM} in the tier {sandbox.tier}"
        target = Target("difference", "≤", 25)
        return [
            Row(name=name, unit="ms", measured=starts, against=f"bare bwrap … {PROGRAM}", baseline=bare, target=target),
            Row(name=name, unit="ms", measured=starts, against=PROGRAM, baseline=plain),
            Row(name=f"memory of a command in {sandbox.tier}", unit="MB", measured=[await _memory(sandbox, policy)]),
        ]


async def _start(sandbox: Sandbox, policy: SandboxPolicy) -> float:
    start = time.perf_counter()
    await sandbox.run(Command(argv=(PROGRAM,), env={}), policy, started=_ignore, output=_ignore)
    return (time.perf_counter() - start) * 1000


async def _memory(sandbox: Sandbox, policy: SandboxPolicy) -> float:
    """The proportional set size, in MB of 10^6 bytes, of what a command that does nothing consists of."""
    marks: list[ProcessMark] = []
    sizes: list[float] = []

    async def started(mark: ProcessMark) -> None:
        marks.append(mark)

    async def measure(_: bytes) -> None:
        sizes.append(sum(map(_megabytes, (marks[0].pid, *descendants(marks[0].pid)))))

    command = Command(argv=("/bin/sh", "-c", "echo; sleep 0.2"), env={})
    await sandbox.run(command, policy, started=started, output=measure)
    return sizes[0]


def _megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")) / 1e6


async def _ignore(_: object) -> None:
    pass
