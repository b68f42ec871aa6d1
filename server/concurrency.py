"""Work in the background of a block, which ends with it; and work that may still end when it is cancelled."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import checkpoint

T = TypeVar("T")


@asynccontextmanager
async def in_background(*functions: Callable[[], Coroutine[Any, Any, object]]) -> AsyncIterator[None]:
    """Run `functions` while the block runs, and cancel them at its end.

    They go on where the block is cancelled from outside, until it is left: it may need them for its last words. What
    the block raises comes out as it is: a task group alone would wrap it.
    """
    error: Exception | None = None
    scopes = [anyio.CancelScope(shield=True) for _ in functions]

    async def run(function: Callable[[], Coroutine[Any, Any, object]], scope: anyio.CancelScope) -> None:
        with scope:
            await function()

    async with anyio.create_task_group() as group:
        for function, scope in zip(functions, scopes, strict=True):
            group.start_soon(run, function, scope)
        try:
            yield
        except Exception as raised:
            error = raised
        finally:
            for scope in scopes:
                scope.cancel()
    if error:
        raise error


async def in_grace(function: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Return what a function does, which has so many seconds left to end when this is cancelled from outside."""
    found: list[T] = []
    error: BaseException | None = None
    scope = anyio.CancelScope(shield=True)

    async def shorten() -> None:
        try:
            await anyio.sleep(math.inf)
        finally:
            scope.deadline = anyio.current_time() + seconds

    async with anyio.create_task_group() as group:
        group.start_soon(shorten)
        try:
            with scope:
                found.append(await function())
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as raised:  # the group would wrap it
            error = raised
        group.cancel_scope.cancel()
    if error:
        raise error
    if not found:
        await checkpoint()  # which is where the cancellation goes on
    (answer,) = found
    return answer
