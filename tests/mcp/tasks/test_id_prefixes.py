"""A task is named by the beginning of its id, by those alone who may know of it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests import servers
from tests.servers import Host
from tests.tasks.delegation.conftest import visited

RECORD = {"message": "a record", "agentId": "none"}
ALIKE = ("aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002")


@pytest.mark.parametrize("length", [8, 12, 35])
async def test_the_beginning_of_an_id_is_enough(host: Host, length: int) -> None:
    task_id = await host.create(**RECORD)
    other = await host.create(**RECORD, dependsOn=[task_id[:length]], parentTaskId=task_id[:length])
    assert (await host.call("get_task", id=task_id[:length]))["id"] == task_id
    assert (await host.call("get_task", id=other[:length]))["dependsOn"] == [task_id]
    assert [task["id"] for task in (await host.call("list_tasks", parentTaskId=task_id[:length]))["tasks"]] == [other]
    assert (await host.call("cancel_task", id=other[:length]))["id"] == other


@pytest.mark.parametrize("length", [8, 36])
async def test_an_id_may_be_in_capitals_and_between_blanks(host: Host, length: int) -> None:
    task_id = await host.create(**RECORD)
    assert (await host.call("get_task", id=f" {task_id[:length].upper()} "))["id"] == task_id


async def test_fewer_than_eight_characters_name_no_task(host: Host) -> None:
    task_id = await host.create(**RECORD)
    assert (await host.fail("get_task", id=task_id[:7]))["code"] == "NOT_FOUND"


@pytest.mark.parametrize("given", ["zzzzzzzz", "%%%%%%%%", "________"])
async def test_what_no_id_begins_with_is_not_found(host: Host, given: str) -> None:
    error = await host.fail("get_task", id=given)
    assert (error["code"], error["id"]) == ("NOT_FOUND", given)


async def test_the_beginning_of_several_ids_tells_them(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        made = [await host.create(**RECORD) for _ in ALIKE]
    servers.kill(killed_home)
    with closing(sqlite3.connect(killed_home / "remit.db")) as database, database:
        database.executemany("UPDATE tasks SET id = ? WHERE id = ?", zip(ALIKE, made, strict=True))
    async with servers.host(killed_home) as host:
        error = await host.fail("get_task", id="aaaaaaaa-0000")
        assert (error["code"], error["field"], error["candidates"]) == ("VALIDATION_ERROR", "id", list(ALIKE))
        assert (await host.call("get_task", id=ALIKE[0]))["id"] == ALIKE[0]


async def test_an_agent_finds_no_task_of_others_by_the_beginning_of_its_id(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_AGENTS__SHELL__DELEGATE="true") as host:
        other = await host.create(**RECORD)
        _, answers = await visited(host, ("get_task", {"id": other[:8]}), ("get_task", {"id": other}))
    assert [answer["error"]["code"] for answer in answers] == ["NOT_FOUND", "NOT_FOUND"]
    assert answers[0]["error"]["id"] == other[:8]
