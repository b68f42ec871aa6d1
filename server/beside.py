"""Work that goes on beside a block, and ends with it."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio


@asynccontextmanager
async def beside(*functions: Callable[[], Coroutine[Any, Any, object]]) -> AsyncIterator[None]:
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
