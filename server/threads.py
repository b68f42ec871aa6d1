"""Threads for computations that would block the event loop, in fair turns."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple, Unpack, cast

import anyio
from anyio import CapacityLimiter, to_thread

from server.round_robin import RoundRobinLock
from templates.steps import Steps

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

AT_ONCE = 4096
"""Characters or bytes processed in the event loop itself: mostly faster than starting a thread."""

MOST_THREADS = 2
"""Simultaneous computations of one kind. They share one interpreter, for which the event loop has to wait."""

SLICE = 0.05
"""Seconds after which a computation in steps yields its turn."""

SHORT = 0.002
"""Seconds that a computation in the event loop may take without sending the next ones to threads."""

REST = 20
"""A longer one sends computations to threads for this multiple of the time it took: one loop serves everybody."""


class Threads:
    """Threads for computations of one kind, granted to lanes in rotation (`server.round_robin`)."""

    def __init__(self) -> None:
        self._turns = RoundRobinLock(MOST_THREADS)
        self._limiter = CapacityLimiter(MOST_THREADS)

    async def run(self, function: Callable[[Unpack[Ts]], T], *arguments: *Ts, shield: bool = False) -> T:
        """Return `function(*arguments)`, run in a thread.

        If the caller is cancelled, the thread continues alone and keeps its turn until it is done, so that there are
        never more of them; with `shield` the caller waits for it. Raises what `function` raises.
        """
        await self._turns.acquire()
        running = asyncio.ensure_future(to_thread.run_sync(_tried, function, arguments, limiter=self._limiter))
        running.add_done_callback(lambda _: self._turns.release())
        with anyio.CancelScope(shield=shield):
            result, error = await asyncio.shield(running)
        del running  # breaks the reference cycle with the error's traceback
        try:
            if error:
                raise error
        finally:
            del error  # a cycle through the traceback would keep the arguments alive until the next garbage collection
        return cast(T, result)


SEARCHING = Threads()
"""For searching texts for secrets: a megabyte made to be hard takes a minute."""

READING = Threads()
"""For parsing and encoding messages: less than a second each, which must not wait behind such texts."""


class _Loop:
    """The event loop's budget for short computations."""

    def __init__(self) -> None:
        self._free_from = 0.0

    @property
    def is_free(self) -> bool:
        """Whether recent computations were short enough for another one in the event loop."""
        return time.monotonic() >= self._free_from

    def run(self, function: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T:
        """Return `function(*arguments)`. Raises what it raises."""
        start = time.monotonic()
        try:
            return function(*arguments)
        finally:
            if (taken := time.monotonic() - start) > SHORT:
                self._free_from = start + REST * taken


_LOOP = _Loop()


async def computed(size: int, function: Callable[[Unpack[Ts]], T], *arguments: *Ts, threads: Threads = SEARCHING) -> T:
    """Return `function(*arguments)`; the arguments have `size` characters or bytes in all.

    It may run in a thread, which continues alone if the caller is cancelled: the function must not change anything.
    Raises what `function` raises.
    """
    if size <= AT_ONCE and _LOOP.is_free:
        return _LOOP.run(function, *arguments)
    return await threads.run(function, *arguments)


async def stepped(size: int, steps: Steps[T]) -> T:
    """Return the result of a computation in steps over `size` characters; the steps must not change anything.

    Others get their turn in between, however long it takes. Raises what it raises.
    """
    is_done, result = _LOOP.run(_sliced, steps, SHORT) if size <= AT_ONCE and _LOOP.is_free else (False, None)
    while not is_done:
        is_done, result = await SEARCHING.run(_sliced, steps, SLICE)
    return cast(T, result)


async def carried_through(function: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T:
    """Return the result of a short `function`; once begun it is completed, even if the caller is cancelled.

    It may change something, and mostly runs in the event loop. Raises what it raises.
    """
    if _LOOP.is_free:
        return _LOOP.run(function, *arguments)
    return await SEARCHING.run(function, *arguments, shield=True)


def _sliced(steps: Steps[T], seconds: float) -> tuple[bool, T | None]:
    """Take steps for so many seconds; returns whether they are done, and their result."""
    until = time.monotonic() + seconds
    try:
        next(steps)
        while time.monotonic() < until:
            next(steps)
    except StopIteration as end:
        return True, end.value
    return False, None


def _tried(function: Callable[[Unpack[Ts]], T], arguments: tuple[*Ts]) -> tuple[T | None, Exception | None]:
    """Return the result or the error.

    An error raised in a thread would form a cycle with the future that carries it.
    """
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error
