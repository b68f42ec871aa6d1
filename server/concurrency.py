"""Structured concurrency helpers: background work within a block, and work with a grace period after cancellation."""

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

    If the block is cancelled from outside they continue until it is left, because its cleanup may need them. An error
    of the block is raised as it is; a task group alone would wrap it in an exception group.
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
    """Return the result of `function`, which has `seconds` left to finish if this is cancelled from outside."""
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
        await checkpoint()  # raises the cancellation
    (answer,) = found
    return answer
