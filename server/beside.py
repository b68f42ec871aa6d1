"""Work that goes on beside a block, and ends with it."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio


@asynccontextmanager
async def beside(*functions: Callable[[], Coroutine[Any, Any, object]]) -> AsyncIterator[None]:
    """Run `functions` while the block runs, and cancel them at its end.

    What the block raises comes out as it is: a task group alone would wrap it.
    """
    error: Exception | None = None
    async with anyio.create_task_group() as group:
        for function in functions:
            group.start_soon(function)
        try:
            yield
        except Exception as raised:
            error = raised
        group.cancel_scope.cancel()
    if error:
        raise error
