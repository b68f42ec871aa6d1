"""Finding tasks over the wire: filters, the three ways to page, and summaries that stay small."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.servers import Host
from tests.tasks.views.test_row_view import LONGEST_PAGE


async def record(host: Host, message: str = "to be found", **arguments: Any) -> str:
    return await host.create(message, agentId="none", **arguments)


async def found(host: Host, **filters: Any) -> list[str]:
    return [task["id"] for task in (await host.call("list_tasks", **filters))["tasks"]]


@pytest.mark.behaviour(
    "list_tasks:filters:combine",
    "list_tasks:taskListId",
    "list_tasks:assignedAgentId",
    "list_tasks:triggeringAgentId",
    "list_tasks:internalStatus",
)
async def test_filters_narrow_a_list_together(host: Host) -> None:
    one = await record(host, taskListId="f1", assignedAgentId="a-1", triggeringAgentId="t-1")
    two = await record(host, taskListId="f1", assignedAgentId="a-2")
    await host.call("update_task", id=two, status="in_progress", internalStatus="reviewing")
    assert await found(host, taskListId="f1") == [two, one]
    assert await found(host, taskListId="f1", assignedAgentId="a-1") == [one]
    assert await found(host, taskListId="f1", status="in_progress") == [two]
    assert await found(host, taskListId="f1", status=["queued", "executing"]) == [two, one]
    assert await found(host, taskListId="f1", triggeringAgentId="t-1") == [one]
    assert await found(host, taskListId="f1", internalStatus="reviewing", agentId="none") == [two]


@pytest.mark.behaviour("list_tasks:page", "list_tasks:perPage", "list_tasks:answer:page", "list_tasks:answer:perPage")
async def test_the_three_ways_to_page_show_the_same_rows(host: Host) -> None:
    ids = [await record(host, taskListId="f2") for _ in range(5)][::-1]
    by_page = [await host.call("list_tasks", taskListId="f2", page=number, perPage=2) for number in (1, 2, 3)]
    by_offset = [await found(host, taskListId="f2", limit=2, offset=offset) for offset in (0, 2, 4)]
    first = await host.call("list_tasks", taskListId="f2", limit=2)
    second = await host.call("list_tasks", taskListId="f2", limit=2, cursor=first["nextCursor"])
    assert (
        [task["id"] for page in by_page for task in page["tasks"]]
        == ids
        == [task for page in by_offset for task in page]
    )
    assert [task["id"] for task in (*first["tasks"], *second["tasks"])] == ids[:4]
    assert [(page["page"], page["perPage"], page["totalPages"], page["hasMore"]) for page in by_page] == [
        (1, 2, 3, True),
        (2, 2, 3, True),
        (3, 2, 3, False),
    ]
    assert (first["total"], first["count"], first["hasMore"]) == (5, 2, True)


async def test_dates_include_both_ends(host: Host) -> None:
    one = await record(host, taskListId="f3")
    at = (await host.call("get_task", id=one))["createdAt"]
    assert await found(host, taskListId="f3", fromDate=at, toDate=at) == [one]
    assert await found(host, taskListId="f3", fromDate=at[:10], toDate=at[:10]) == [one]
    assert await found(host, taskListId="f3", toDate="2020-01-01T00:00:00+02:00") == []


async def test_words_are_found_in_titles_and_messages(host: Host) -> None:
    one = await record(host, "Summarise the Quarterly figures", taskListId="f4")
    two = await record(host, "something else", title="quarterly", taskListId="f4")
    assert await found(host, query="QUARTERLY") == [two, one]
    assert await found(host, query="quarterly figures") == [one]


@pytest.mark.behaviour(
    "list_tasks:dependsOn",
    "list_tasks:dependsOn:ids_only",
    "list_tasks:dependsOn:count",
    "list_tasks:dependsOn:echo",
    "list_tasks:dependsOn:includeDetails",
    "list_tasks:dependsOn:includeDetails:default_false",
    "list_tasks:dependsOn:status",
)
async def test_a_reverse_look_up_names_ids_and_on_request_shows_details(host: Host) -> None:
    first = await record(host)
    second = await record(host, dependsOn=[first])
    short = await host.call("list_tasks", dependsOn=first)
    full = await host.call("list_tasks", dependsOn=first, includeDetails=True, status="blocked")
    assert (short["taskIds"], short["count"], short["dependsOn"], "tasks" in short) == ([second], 1, first, False)
    assert (full["taskIds"], full["tasks"][0]["blockedByTaskIds"]) == ([second], [first])


@pytest.mark.behaviour("list_tasks:userId")
async def test_a_user_sees_their_own_tasks_and_nobody_elses(host: Host) -> None:
    one = await record(host, taskListId="f5")
    page = await host.call("list_tasks", taskListId="f5", userId="local")
    assert ([task["id"] for task in page["tasks"]], page["userId"]) == ([one], "local")
    assert (await host.call("list_tasks", taskListId="f5", userId="somebody"))["total"] == 0


@pytest.mark.behaviour(
    "list_tasks:row:description",
    "list_tasks:row:taskListId",
    "list_tasks:row:assignedAgentId",
    "list_tasks:row:sourceNodeType",
)
async def test_a_row_tells_what_belongs_to_a_task(host: Host) -> None:
    parent = await record(host)
    told = {"description": "about it", "taskListId": "f6", "assignedAgentId": "a-1", "parentTaskId": parent}
    await record(host, showInHistory=False, autoExecute=False, **told)
    (row,) = (await host.call("list_tasks", taskListId="f6"))["tasks"]
    assert {name: row[name] for name in told} == told
    assert (row["showInHistory"], row["autoExecute"], row["sourceNodeType"]) == (False, False, "mcp")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": base64.b64encode(b'[1e999,1,"x"]').decode()}, "cursor"),
        ({"query": "to be\0found"}, "query"),
        ({"fromDate": "yesterday"}, "fromDate"),
        ({"parentTaskId": "unknown"}, "parentTaskId"),
        ({"dependsOn": "unknown"}, "dependsOn"),
    ],
)
async def test_a_bad_filter_is_named(host: Host, arguments: dict[str, Any], field: str) -> None:
    assert (await host.fail("list_tasks", **arguments))["field"] == field


@pytest.mark.parametrize(
    "arguments", [{"page": 1, "offset": 2}, {"perPage": 1, "limit": 2}, {"cursor": "x", "offset": 1}, {"query": "..."}]
)
async def test_what_does_not_go_together_is_refused(host: Host, arguments: dict[str, Any]) -> None:
    error = await host.fail("list_tasks", **arguments)
    assert (error["code"], next(iter(arguments)) in error["message"]) == ("VALIDATION_ERROR", True)


async def test_a_cursor_belongs_to_its_filters(host: Host) -> None:
    for _ in range(2):
        await record(host, taskListId="f7")
    cursor = (await host.call("list_tasks", taskListId="f7", limit=1))["nextCursor"]
    assert (await host.fail("list_tasks", limit=1, cursor=cursor))["field"] == "cursor"


async def test_a_page_of_the_longest_rows_stays_small(own_home: Path) -> None:
    long = "𝄞" * 255
    async with servers.host(own_home) as host:
        first = await record(host, long)
        for _ in range(50):
            await record(
                host,
                long * 3,
                title=long,
                description=long * 3,
                taskListId=long,
                assignedAgentId=long,
                triggeringAgentId=long,
                parentTaskId=first,
                dependsOn=[first],
            )
        page, text = await measured(host, most=LONGEST_PAGE, taskListId=long)
    assert page["count"] == len(page["tasks"]) == 50
    assert "message" in page["omittedFields"]
    assert all(task["id"] in text for task in page["tasks"])


OF_EVERY_LIST = "id title status createdAt agentId lastActivityAt"
OF_A_LIST_BY_LIMIT = "username conversationId startedAt completedAt messageCount"
OF_NUMBERED_PAGES = "updatedAt sourceNodeType result"
OF_A_TASK_LIST = "description updatedAt taskListId assignedAgentId progress"


@pytest.mark.parametrize("word", ["m", "é€𝄞", '"\\'], ids=["ASCII", "any script", "what JSON writes longer"])
async def test_a_page_of_fifty_ended_tasks_has_the_fields_of_the_api_that_is_asked_so(
    own_home: Path, word: str
) -> None:
    async with servers.host(own_home) as host:
        for _ in range(50):
            task_id = await record(
                host, word * 99, title=word * 99, taskListId="fifty", assignedAgentId="a-1", description=word * 99
            )
            await host.call("update_task", id=task_id, status="completed", result=word * 99, progress=1)
        by_limit, _ = await measured(host)
        by_page, _ = await measured(host, page=1, perPage=50)
        by_list, _ = await measured(host, taskListId="fifty")
    for page, named in (
        (by_limit, OF_A_LIST_BY_LIMIT),
        (by_page, OF_NUMBERED_PAGES),
        (by_list, OF_A_TASK_LIST),
    ):
        wanted = {*OF_EVERY_LIST.split(), *named.split()}
        assert [wanted - set(task) for task in page["tasks"]] == [set()] * 50
        assert set(page["omittedFields"]).isdisjoint(wanted)


async def measured(host: Host, *, most: int = 20_000, **arguments: Any) -> tuple[dict[str, Any], str]:
    """Return a page of at most so many bytes, and its text, which is as short as it has to be."""
    result = await host.client.call_tool("list_tasks", arguments)
    (block,) = result.content
    text = str(block.model_dump()["text"])
    assert result.structured_content
    assert len(text.encode()) <= 12_000
    assert len(json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":")).encode()) <= most
    return result.structured_content, text
