"""Limits for a fuzzed part of the server: bytes of memory, and turns of the event loop."""

import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import anyio

MOST_STALL = 100
"""Times as long as it takes to count to a hundred thousand, some 0.1 s in all: what is fuzzed has 100 KB at
most, which take a twentieth of it while memory is traced, and what is quadratic in them takes ten times as much."""


@asynccontextmanager
async def bounded(most_memory: int) -> AsyncIterator[None]:
    """Fail where the block takes more memory at any time, in bytes, or keeps the event loop to itself for long."""
    tracemalloc.start()
    try:
        async with unstalled():
            yield
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < most_memory, f"{most} bytes of memory"


@asynccontextmanager
async def unstalled() -> AsyncIterator[None]:
    """Fail where the block keeps the event loop to itself for long.

    That is measured in the time of the loop's own thread, which nothing else on the machine adds to.
    """
    longest = 0.0

    async def probe() -> None:
        nonlocal longest
        while True:
            before = time.thread_time()
            await anyio.sleep(0.001)
            longest = max(longest, time.thread_time() - before)

    unit = _unit()
    async with anyio.create_task_group() as group:
        group.start_soon(probe)
        await anyio.sleep(0.002)  # it looks from here on
        yield
        await anyio.sleep(0.002)
        group.cancel_scope.cancel()
    assert longest < MOST_STALL * unit, f"a stall of {longest / unit:.0f} units"


@cache
def _unit() -> float:
    """Return the seconds of the thread in which Python counts to a hundred thousand."""
    return min(_counted() for _ in range(20))


def _counted() -> float:
    start = time.thread_time()
    for _ in range(100_000):
        pass
    return time.thread_time() - start
