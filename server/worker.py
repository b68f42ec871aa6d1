"""Computations that would keep everybody else waiting, done in a thread beside the event loop."""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple, Unpack, cast

from anyio import CapacityLimiter, to_thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

AT_ONCE = 4096
"""Characters or bytes that are worked on in the event loop itself: 0.2 s where they were made to be hard to mask, else
less than a thread takes to begin."""

MOST_THREADS = 4
"""Computations of a kind at the same time: they share one interpreter, in which the event loop waits for its turn."""

SEARCHING = CapacityLimiter(MOST_THREADS)
"""For texts that are searched for secrets: made to be hard, a megabyte takes a minute."""

READING = CapacityLimiter(MOST_THREADS)
"""For messages that are read and written: less than a second each, which must not come behind such texts."""


async def computed(
    size: int, function: Callable[[Unpack[Ts]], T], *arguments: *Ts, limiter: CapacityLimiter = SEARCHING
) -> T:
    """Return what `function` makes of its arguments, which have `size` characters or bytes in all.

    It may be in a thread, and is left to itself there where the caller is cancelled: it must change nothing.
    Raises what `function` raises.
    """
    if size <= AT_ONCE:
        return function(*arguments)
    result, error = await to_thread.run_sync(_tried, function, arguments, abandon_on_cancel=True, limiter=limiter)
    try:
        if error:
            raise error
    finally:
        del error  # it would lead to itself, and keep what was worked on until the next collection of garbage
    return cast(T, result)


def _tried(function: Callable[[Unpack[Ts]], T], arguments: tuple[*Ts]) -> tuple[T | None, Exception | None]:
    """Return what came of it: what is raised in a thread stays in a circle with the future that carries it."""
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error
