"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """The counts of one run of the benchmarks."""

    windows: int
    """Openings of a window, per row."""

    calls: int
    """Round trips of a tool call, per row."""

    commands: int
    """Sandboxed commands started one by one."""

    batches: int
    batch: int
    """Batches of commands at full concurrency, and commands in each."""

    waiting: int
    """Tasks created to see what one that waits costs in memory."""

    passes: int
    """Passes of the redactor over its text."""

    restarts: int
    open_tasks: int
    """Restarts of a server, and the tasks open in it."""

    populations: tuple[int, ...]
    looks: int
    """Tasks in the databases that are held against the first of them, and looks at each, per row."""

    chain: int
    dependants: int
    """Tasks that wait one for another, and tasks that wait for the same one."""


QUICK = Effort(
    windows=1,
    calls=5,
    commands=2,
    batches=1,
    batch=4,
    waiting=10,
    passes=2,
    restarts=1,
    open_tasks=20,
    populations=(100, 300),
    looks=1,
    chain=20,
    dependants=20,
)
DEFAULT = Effort(
    windows=20,
    calls=500,
    commands=30,
    batches=5,
    batch=40,
    waiting=500,
    passes=5,
    restarts=6,
    open_tasks=2_000,
    populations=(1_000, 100_000),
    looks=30,
    chain=5_000,
    dependants=10_000,
)
FULL = Effort(
    windows=30,
    calls=2000,
    commands=100,
    batches=5,
    batch=100,
    waiting=2000,
    passes=20,
    restarts=8,
    open_tasks=10_000,
    populations=(1_000, 100_000, 1_000_000),
    looks=50,
    chain=5_000,
    dependants=10_000,
)
