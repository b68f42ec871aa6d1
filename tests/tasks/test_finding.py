"""Rows of lists as they are shown."""

from pathlib import Path

from server.tasks import finding
from server.tasks.listrequests import ListTasks
from storage.filters import Filter
from storage.store import open_store
from storage.workspace import Workspace
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, new_task


async def test_who_keeps_a_task_out_of_its_folder_is_named_and_no_others_are_counted(tmp_path: Path) -> None:
    first, second = [
        new_task(workspace=Workspace(mode="readwrite", path="/a", shared=False, reaches=("/a",))) for _ in range(2)
    ]
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        for new in (first, second):
            await store.create_task(ANN, new)
        await store.claim_run("owner")
        await store.claim_run("owner")
        page = await store.find(ANN, Filter(), 2)
    rows = {row["id"]: row for row in finding.page(ListTasks.model_validate({}), ANN, page)["tasks"]}
    assert rows[second.id]["blockedByTaskIds"] == [first.id]
    assert "omittedBlockers" not in rows[second.id]
