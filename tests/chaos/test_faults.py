"""Faults are over when their function returns."""

from pathlib import Path

import anyio

from tests.chaos.faults import WRITES, injected


async def test_a_fault_in_system_calls_leaves_no_process_when_it_is_cancelled(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with injected(tmp_path, WRITES, "error=EIO") as tracer:
            scope.cancel()
            await anyio.sleep_forever()
    assert tracer.returncode is not None
