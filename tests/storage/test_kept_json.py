"""The JSON of the database: what was written before records stood for it is read, and written again the same."""

from typing import Any

import pytest

from storage.records.demands import Demands
from storage.records.workspaces import Workspace
from storage.sqlite.store import SqliteStore
from tests.storage.samples import ANN, REPOSITORY, new_task

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

TREE = Workspace(mode="worktree", path="/r", shared=False, reaches=("/r",), repository=REPOSITORY)
WRITTEN_REPOSITORY = (
    '{"git":"/p/.git","objects":["/p/.git/objects","/q/objects"],"top":"/p","inside":"sub",'
    '"base":"e83c5163316f89bfbde7d9ab23ca2e25604af290","format":"sha1","has_submodules":true}'
)
WRITTEN_OUTCOME = (
    '{"head":"e83c516","dirty":true,"omitted":1,"cut":false,"files":[["a","M"],["b c","??"]],"diff":"+é\\n",'
    '"carried":"0000000","moving":"e83c516","problem":"it failed","disarmed":["x was set aside"]}'
)
_OF_TASK = "task = (SELECT seq FROM tasks WHERE id = ?)"


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


async def test_a_repository_is_written_again_as_it_was(store: SqliteStore) -> None:
    first = await _with_folder(store, TREE)
    await _replace(store, f"UPDATE workspaces SET repository = ? WHERE {_OF_TASK}", WRITTEN_REPOSITORY, first)
    read = await store.workspace(ANN, first)
    assert read
    again = await _with_folder(store, read)
    assert await _column(store, f"SELECT repository FROM workspaces WHERE {_OF_TASK}", again) == WRITTEN_REPOSITORY


async def test_the_outcome_of_a_worktree_is_written_again_as_it_was(store: SqliteStore) -> None:
    task_id = await _with_folder(store, TREE)
    claim = await store.claim_run("owner")
    assert claim
    await _replace(store, f"UPDATE workspaces SET outcome = ? WHERE {_OF_TASK}", WRITTEN_OUTCOME, task_id)
    (record,) = await store.worktrees(task_id)
    await store.record_worktree(task_id, "dirty", {"carried": "none"})
    await store.record_worktree(task_id, "dirty", record.workspace.outcome)
    assert await _column(store, f"SELECT outcome FROM workspaces WHERE {_OF_TASK}", task_id) == WRITTEN_OUTCOME


async def test_a_folder_without_an_outcome_has_none(store: SqliteStore) -> None:
    task_id = await _with_folder(store, TREE)
    read = await store.workspace(ANN, task_id)
    assert read
    assert read.outcome == {}
    assert await _column(store, f"SELECT outcome FROM workspaces WHERE {_OF_TASK}", task_id) is None


async def _with_folder(store: SqliteStore, workspace: Workspace) -> str:
    return (await store.create_task(ANN, new_task(workspace=workspace))).id


async def _replace(store: SqliteStore, statement: str, *values: str | None) -> None:
    await store._db.write(lambda db: db.execute(statement, values))


async def _column(store: SqliteStore, query: str, task_id: str) -> Any:
    return (await store._db.read(lambda db: db.execute(query, (task_id,)).fetchone()))[0]
