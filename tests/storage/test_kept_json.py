"""The JSON of the database: what was written before records stood for it is read, and written again the same."""

from typing import Any

import pytest

from storage.records.demands import Demands
from storage.sqlite.store import SqliteStore
from tests.storage.samples import ANN, new_task

ALL_DEMANDS = (
    '{"onInterrupt":"resume","approvalTimeoutSeconds":60,"limits":{"memoryMb":64,"cpuSeconds":9},'
    '"require":{"tier":"namespaces","network":"none"},"allowHooks":true,"mcpServers":["b","a"]}'
)
DEMANDS = (
    None,
    ALL_DEMANDS,
    '{"onInterrupt":"fail"}',
    '{"require":{"network":"none"}}',
    '{"limits":{}}',
    '{"require":{}}',
)
"""As they were written for requests with all fields, with each alone, and with empty objects."""


@pytest.mark.parametrize("written", DEMANDS)
async def test_demands_are_written_again_as_they_were(store: SqliteStore, written: str | None) -> None:
    first = (await store.create_task(ANN, new_task())).id
    await _replace(store, "UPDATE tasks SET demands = ? WHERE id = ?", written, first)
    again = new_task(demands=(await store.task(ANN, first)).demands)
    await store.create_task(ANN, again)
    assert await _column(store, "SELECT demands FROM tasks WHERE id = ?", again.id) == written


async def test_all_demands_are_read(store: SqliteStore) -> None:
    first = (await store.create_task(ANN, new_task())).id
    await _replace(store, "UPDATE tasks SET demands = ? WHERE id = ?", ALL_DEMANDS, first)
    assert (await store.task(ANN, first)).demands == Demands(
        on_interrupt="resume",
        approval_timeout_seconds=60,
        limits={"memoryMb": 64, "cpuSeconds": 9},
        require={"tier": "namespaces", "network": "none"},
        allow_hooks=True,
        mcp_servers=("b", "a"),
    )


async def _replace(store: SqliteStore, statement: str, *values: str | None) -> None:
    await store._db.write(lambda db: db.execute(statement, values))


async def _column(store: SqliteStore, query: str, task_id: str) -> Any:
    return (await store._db.read(lambda db: db.execute(query, (task_id,)).fetchone()))[0]
