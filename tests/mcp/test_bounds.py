"""Requests made to cost much: they are refused in few words, and nobody else waits for them."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.json_text import MAX_VALUES, holds_too_many
from server.tasks.requests.arguments import shape
from server.tasks.requests.fields import Request
from server.tasks.requests.listing import ListTasks
from server.tasks.requests.pruning import PruneWorktrees
from server.tasks.requests.request_models import CreateTask, GetTask, SendMessage, UpdateTask
from tests.mcp.test_wire import called, exchanged
from tests.servers import Host

MANY = MAX_VALUES + 1


@pytest.mark.parametrize("values", [f"[{each * MANY}0]" for each in ("0,", "[],", "{},", '"",', '"[",')])
def test_a_line_of_too_many_values_is_answered_unread(shared_home: Path, values: str) -> None:
    (answer,) = exchanged(shared_home, called("get_task", f'{{"id": "x", "include": {values}}}'))
    assert (answer["id"], answer["error"]["code"]) == (1, -32600)
    assert str(MAX_VALUES) in answer["error"]["message"]


@pytest.mark.parametrize("key", ["id", "x"])
def test_the_id_of_a_line_that_is_not_read_is_taken_from_its_end_too(shared_home: Path, key: str) -> None:
    params = f'"method": "ping", "params": {{"a": [{"0," * MANY}0]}}'
    (answer,) = exchanged(shared_home, f'{{{params}, "jsonrpc": "2.0", "{key}": "seven"}}'.encode())
    assert answer["id"] == ("seven" if key == "id" else None)


def test_signs_within_texts_are_no_values() -> None:
    file = '{"a":[1,2,"\\"}' * MAX_VALUES
    assert not holds_too_many(json.dumps({"message": file, "files": json.dumps([{"content": file}])}))


async def test_json_in_a_text_is_not_read_either_where_it_holds_too_many_values(host: Host) -> None:
    error = await host.fail("get_task", id="x", include=f"[{'0,' * MANY}0]")
    assert error["field"] == "include"


@pytest.mark.parametrize(
    "arguments",
    [
        {f"k{number}": 1 for number in range(150)},
        {"env": {f"{number}-": 1 for number in range(1000)}},
        {"dependsOn": [0] * 10_000},
        {"metadata": {f"{number}\ud83d": 0 for number in range(1000)}},
    ],
)
def test_of_a_thousand_problems_twenty_are_told_and_the_others_counted(
    shared_home: Path, arguments: dict[str, Any]
) -> None:
    (answer,) = exchanged(shared_home, called("create_task", json.dumps({"message": "$ true", **arguments})))
    assert len(answer["result"]["_meta"]["remit/error"]["problems"]) == 20
    assert len(answer["result"]["content"][0]["text"]) < 3000


async def test_how_many_problems_are_not_told_is_said(host: Host) -> None:
    error = await host.fail("get_task", id="x", **{f"k{number}": 1 for number in range(30)})
    assert error["moreProblems"] == 10
    assert error["message"].endswith("; and 10 more")


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("get_task", {"id": "x", "include": ["events"] * 51}, "include"),
        ("list_tasks", {"status": ["done"] * 51}, "status"),
        ("create_task", {"message": "$ true", "env": {f"A{number}": "" for number in range(4001)}}, "env"),
        ("create_task", {"message": "$ true", "secrets": {f"A{number}": "" for number in range(4001)}}, "secrets"),
        ("create_task", {"message": "$ true", "secretNames": ["A"] * 4001}, "secretNames"),
        ("create_task", {"message": "$ true", "files": [{}] * 21}, "files"),
        ("get_task", {f"k{number}": 1 for number in range(201)}, "arguments"),
    ],
)
async def test_a_list_or_an_object_of_too_many_entries_is_named_once(
    host: Host, tool: str, arguments: dict[str, Any], field: str
) -> None:
    error = await host.fail(tool, **arguments)
    assert [problem["field"] for problem in error["problems"]] == [field]
    assert "at most" in error["message"]


@pytest.mark.parametrize("model", [CreateTask, GetTask, ListTasks, PruneWorktrees, SendMessage, UpdateTask])
def test_every_list_and_every_map_of_a_request_has_a_bound(model: type[Request]) -> None:
    unbound = [
        name
        for name, kind in shape(model)["properties"].items()
        if (kind.get("type") == "array" and "maxItems" not in kind)
        or ("patternProperties" in kind and "maxProperties" not in kind)
    ]
    assert unbound == []


@pytest.mark.parametrize("depth", [101, 150, 900])
@pytest.mark.parametrize("in_a_text", [True, False])
def test_what_is_nested_too_deeply_is_refused_in_words(shared_home: Path, depth: int, in_a_text: bool) -> None:
    deep = '{"a":' * depth + "1" + "}" * depth
    metadata = json.dumps(deep) if in_a_text else deep
    (answer,) = exchanged(shared_home, called("create_task", f'{{"message": "$ true", "metadata": {metadata}}}'))
    assert answer["result"]["_meta"]["remit/error"]["code"] == "VALIDATION_ERROR"
    assert "100 deep" in answer["result"]["content"][0]["text"]


async def test_a_name_among_secrets_that_is_none_is_not_repeated(host: Host) -> None:
    error = await host.fail("create_task", message="$ true", secrets={"sk-0123456789": "TOKEN", "OK": ["x"]})
    assert [problem["field"] for problem in error["problems"]] == ["secrets", "secrets.OK"]
    assert "0123456789" not in json.dumps(error)
