"""Rows of lists as they are shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.tasks.requests.listing import ListTasks
from server.tasks.views import list_view
from storage.records.lists import Filter, Page
from storage.records.states import Status
from storage.records.tasks import Row
from storage.records.workspaces import Workspace
from storage.sqlite.store import open_store
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
    rows = {row["id"]: row for row in list_view.page(ListTasks.model_validate({}), ANN, page)["tasks"]}
    assert rows[second.id]["blockedByTaskIds"] == [first.id]
    assert "omittedBlockers" not in rows[second.id]


LONGEST_PAGE = 34_000
"""Bytes of fifty rows of which each has all that a task can have, with every text as long as it may be."""

OF_EVERY_LIST = "id title status createdAt agentId lastActivityAt"


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({}, "username conversationId startedAt completedAt messageCount error"),
        ({"page": 1, "perPage": 50}, "updatedAt sourceNodeType result parentTaskId triggeringAgentId"),
        (
            {"taskListId": "l"},
            "description updatedAt taskListId assignedAgentId progress blockedReason blockedByTaskIds",
        ),
    ],
    ids=["by limit", "by page", "of a task list"],
)
@pytest.mark.parametrize("letter", ["m", "𝄞", '"'], ids=["ASCII", "any script", "what JSON writes longer"])
def test_fifty_of_the_longest_rows_have_every_field_of_the_api_that_is_asked_so(
    asked: dict[str, Any], named: str, letter: str
) -> None:
    page = Page(
        tasks=[_longest(seq, letter * 255) for seq in range(50)],
        total=10_000,
        total_is_capped=True,
        next=None,
        partial=True,
        waiting=dict.fromkeys(range(50), 32),
        blocked_by=dict.fromkeys(range(50), ["0" * 36] * 3),
    )
    view = list_view.page(ListTasks.model_validate(asked), ANN, page)
    wanted = {*OF_EVERY_LIST.split(), *named.split()}
    assert [wanted - set(row) for row in view["tasks"]] == [set()] * 50
    assert wanted.isdisjoint(view["omittedFields"])
    assert len(json.dumps(view, ensure_ascii=False, separators=(",", ":")).encode()) <= LONGEST_PAGE


def _longest(seq: int, text: str) -> Row:
    return Row(
        seq=seq,
        id=f"{seq:036}",
        username="u" * 32,
        conversation="c" * 36,
        agent="a" * 32,
        status=Status.AWAITING_APPROVAL,
        title=text,
        message=text,
        description=text,
        show_in_history=False,
        auto_execute=False,
        task_list=text,
        assigned_agent=text,
        triggering_agent=text,
        internal_status=text,
        source="terminal",
        parent="0" * 36,
        progress=0.123456789,
        open_dependencies=10_000,
        blocked_reason=text,
        error=text,
        result=text,
        message_count=100_000,
        created_at=0,
        started_at=0,
        completed_at=0,
        updated_at=0,
        last_activity_at=0,
    )
