"""Computations that would keep everybody else waiting, done in threads beside the event loop, in fair turns."""

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
"""Characters or bytes that are worked on in the event loop itself: mostly less than a thread takes to begin."""

MOST_THREADS = 2
"""Computations of a kind at the same time. They share one interpreter, in which the event loop waits for its turn."""

SLICE = 0.05
"""Seconds after which a computation in steps lets the next have its turn."""

SHORT = 0.002
"""Seconds that a computation may take in the event loop without others being kept out of it afterwards."""

REST = 20
"""Times as long as one took that was not short, in which all others go to threads: one loop serves everybody."""


class Threads:
    """Threads for computations of one kind: each lane has its turn, whatever others ask for (`server.round_robin`)."""

    def __init__(self) -> None:
        self._turns = RoundRobinLock(MOST_THREADS)
        self._limiter = CapacityLimiter(MOST_THREADS)

    async def run(self, function: Callable[[Unpack[Ts]], T], *arguments: *Ts, shield: bool = False) -> T:
        """Return what `function` makes of its arguments in a thread.

        Where the caller is cancelled it is left to itself, and keeps its turn until it is done, so that there are never
        more of them; `shield` has it waited for. Raises what `function` raises.
        """
        await self._turns.acquire()
        running = asyncio.ensure_future(to_thread.run_sync(_tried, function, arguments, limiter=self._limiter))
        running.add_done_callback(lambda _: self._turns.release())
        with anyio.CancelScope(shield=shield):
            result, error = await asyncio.shield(running)
        del running  # it leads to the error, as that leads to here
        try:
            if error:
                raise error
        finally:
            del error  # it would lead to itself, and keep what was worked on until the next collection of garbage
        return cast(T, result)


SEARCHING = Threads()
"""For texts that are searched for secrets: made to be hard, a megabyte takes a minute."""

READING = Threads()
"""For messages that are read and written: less than a second each, which must not come behind such texts."""


class _Loop:
    """The time of the event loop that is left for computations."""

    def __init__(self) -> None:
        self._free_from = 0.0

    @property
    def is_free(self) -> bool:
        """Whether the last ones took so little of it that one more may be done in it."""
        return time.monotonic() >= self._free_from

    def run(self, function: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T:
        """Return what `function` makes of its arguments. Raises what it raises."""
        start = time.monotonic()
        try:
            return function(*arguments)
        finally:
            if (taken := time.monotonic() - start) > SHORT:
                self._free_from = start + REST * taken


_LOOP = _Loop()


async def computed(size: int, function: Callable[[Unpack[Ts]], T], *arguments: *Ts, threads: Threads = SEARCHING) -> T:
    """Return what `function` makes of its arguments, which have `size` characters or bytes in all.

    It may be in a thread, and is left to itself there where the caller is cancelled: it must change nothing.
    Raises what `function` raises.
    """
    if size <= AT_ONCE and _LOOP.is_free:
        return _LOOP.run(function, *arguments)
    return await threads.run(function, *arguments)


async def stepped(size: int, steps: Steps[T]) -> T:
    """Return what comes of a computation in steps over `size` characters; they must change nothing.

    However long it takes, others have their turn between. Raises what it raises.
    """
    is_done, result = _LOOP.run(_sliced, steps, SHORT) if size <= AT_ONCE and _LOOP.is_free else (False, None)
    while not is_done:
        is_done, result = await SEARCHING.run(_sliced, steps, SLICE)
    return cast(T, result)


async def carried_through(function: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T:
    """Return what a short `function` makes of its arguments, once it has begun also where the caller is cancelled.

    It may change something, and is mostly done in the event loop. Raises what it raises.
    """
    if _LOOP.is_free:
        return _LOOP.run(function, *arguments)
    return await SEARCHING.run(function, *arguments, shield=True)


def _sliced(steps: Steps[T], seconds: float) -> tuple[bool, T | None]:
    """Take steps for so long; whether they are done, and what has come of them."""
    until = time.monotonic() + seconds
    try:
        next(steps)
        while time.monotonic() < until:
            next(steps)
    except StopIteration as end:
        return True, end.value
    return False, None


def _tried(function: Callable[[Unpack[Ts]], T], arguments: tuple[*Ts]) -> tuple[T | None, Exception | None]:
    """Return what came of it: what is raised in a thread stays in a circle with the future that carries it."""
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error
