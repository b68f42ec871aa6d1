"""Arguments as hosts and models really send them are understood; what is not is told whole, unknown fields first."""

import uuid
from typing import Any

import pytest

from tests.servers import Host

RECORD = {"message": "a record", "agentId": "none"}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"env": '{"A": "1"}'}, {"env": {"A": "1"}}),
        ({"env": {"A": 5, "B": True, "C": 1.5, "D": "x"}}, {"env": {"A": "5", "B": "true", "C": "1.5", "D": "x"}}),
        ({"metadata": '{"a": [1]}'}, {"metadata": {"a": [1]}}),
        ({"show_in_history": "False"}, {"showInHistory": False}),
        ({"task_list_id": "a list"}, {"taskListId": "a list"}),
        ({"TaskListID": "a list", "taskListId": "a list"}, {"taskListId": "a list"}),
        ({"workspace": "", "files": "", "env": "", "taskListId": "", "title": ""}, {"title": None, "env": None}),
        ({"workspace": {"path": "", "mode": "", "shared": False}, "dependsOn": [""]}, {"dependsOn": None}),
        ({"wait_for_previous": True, "toolCallId": "call_1"}, {"status": "pending"}),
        ({"random_string": "x", "security_context": {"agent_fingerprint": {}}}, {"status": "pending"}),
    ],
)
async def test_a_task_is_made_of_what_was_meant(host: Host, given: dict[str, Any], shown: dict[str, Any]) -> None:
    task = await host.call("get_task", id=(await host.call("create_task", **RECORD, **given))["id"])
    assert {name: task.get(name) for name in shown} == shown


@pytest.mark.parametrize("shape", ['["ID"]', "ID", ["ID"]])
async def test_a_list_may_come_as_text_of_json_or_as_its_only_value(host: Host, shape: Any) -> None:
    first = await host.create(**RECORD)
    depends_on = [first] if isinstance(shape, list) else shape.replace("ID", first)
    task_id = await host.create(**RECORD, dependsOn=depends_on)
    assert (await host.call("get_task", id=task_id))["dependsOn"] == [first]


@pytest.mark.parametrize("files", ['[{"path": "a", "content": "hi"}]', '{"path": "a", "content": "hi"}'])
async def test_files_may_come_as_text_of_json(host: Host, files: str) -> None:
    assert (await host.done("$ cat uploads/a", files=files))["output"]["content"] == "hi"


async def test_the_empty_texts_beside_the_content_of_a_file_are_passed_over(host: Host) -> None:
    files = [
        {"path": "a", "content": "hi", "contentBase64": "", "source": ""},
        {"path": "b", "content": "", "contentBase64": "", "source": ""},
    ]
    task = await host.done("$ cat uploads/a; wc -c < uploads/b", files=files)
    assert task["output"]["content"] == "hi0\n"


@pytest.mark.parametrize("mode", ["READ_ONLY", "read-only", "Readonly"])
async def test_a_word_of_a_few_may_be_spelt_in_other_ways(host: Host, mode: str) -> None:
    error = await host.fail("create_task", message="$ true", workspace={"path": "/somewhere", "mode": mode})
    assert error["field"] == "workspace.path"


async def test_words_of_a_few_may_stand_in_one_text(host: Host) -> None:
    task = await host.call("get_task", id=await host.create(**RECORD), include="events, messages")
    assert task["events"]
    assert task["messages"]


@pytest.mark.parametrize(
    ("tool", "name", "meant"),
    [
        ("create_task", "prompt", "message"),
        ("create_task", "script", "message"),
        ("create_task", "task", "message"),
        ("create_task", "cwd", "workspace"),
        ("create_task", "name", "title"),
        ("create_task", "list", "taskListId"),
        ("create_task", "dependencies", "dependsOn"),
        ("create_task", "after", "dependsOn"),
        ("list_tasks", "state", "status"),
        ("list_tasks", "search", "query"),
        ("list_tasks", "text", "query"),
        ("list_tasks", "pageSize", "limit"),
        ("list_tasks", "after", "fromDate"),
        ("get_task", "task", "id"),
        ("get_task", "wait", "waitSeconds"),
        ("get_task_graph", "name", "taskListId"),
        ("approve_tool_call", "decision", "outcome"),
        ("read_artifacts", "file", "path"),
        ("delete_task", "force", "cascade"),
    ],
)
async def test_a_field_that_goes_by_another_name_is_named(host: Host, tool: str, name: str, meant: str) -> None:
    error = await host.fail(tool, **{name: "x"})
    assert error["problems"][0]["message"] == f"there is no such field; did you mean {meant}?"


async def test_no_field_is_named_that_is_hardly_like_what_was_written(host: Host) -> None:
    error = await host.fail("list_tasks", sort="asc")
    assert error["message"] == "sort: there is no such field"


async def test_a_field_of_hosts_is_named_where_it_may_stand_for_one_that_is_missing(host: Host) -> None:
    error = await host.fail("approve_tool_call", id="x", toolCallId="call_1", call="shell: ls", outcome="cancel")
    assert error["message"] == (
        "toolCallId: is ignored, since some hosts add it to every call; did you mean callId?; callId: is required"
    )


async def test_a_folder_may_come_as_its_path_alone(host: Host) -> None:
    error = await host.fail("create_task", message="$ true", workspace="/somewhere")
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "workspace.path")


async def test_numbers_among_secrets_are_taken_as_text_and_masked(host: Host) -> None:
    task = await host.done('$ echo "[$S]"', secrets='{"S": 271828182845}')
    assert task["output"]["content"] == "[[secret S]]\n"


@pytest.mark.parametrize("value", [["hush"], {"a": "hush"}, '{"S": "hush"'])
async def test_secrets_that_are_not_understood_are_not_repeated(host: Host, value: Any) -> None:
    error = await host.fail("create_task", message="$ true", secrets=value if isinstance(value, str) else {"S": value})
    assert error["field"].startswith("secrets")
    assert "hush" not in str(error)


async def test_a_list_is_found_with_all_defaults_filled_in(host: Host) -> None:
    name = uuid.uuid4().hex
    task_id = await host.create(**RECORD, taskListId=name)
    page = await host.call(
        "list_tasks",
        limit=50,
        offset=0,
        cursor="",
        page=1,
        perPage=20,
        status=[],
        taskListId=name,
        assignedAgentId="",
        agentId="",
        userId="",
        parentTaskId="",
        triggeringAgentId="",
        internalStatus="",
        fromDate="",
        toDate="",
        query="",
        dependsOn="",
        includeDetails=False,
    )
    assert [task["id"] for task in page["tasks"]] == [task_id]
    assert (page["page"], page["perPage"]) == (1, 20)


async def test_defaults_that_are_spelt_out_do_not_page_by_number(host: Host) -> None:
    page = await host.call("list_tasks", limit=50, offset=0, perPage=20, page=None)
    assert (page["limit"], "page" in page) == (50, False)


async def test_a_limit_beside_a_page_is_the_size_of_the_page(host: Host) -> None:
    page = await host.call("list_tasks", page=2, limit=7)
    assert (page["page"], page["perPage"], page["offset"]) == (2, 7, 7)


@pytest.mark.parametrize(
    "given",
    [{"page": 2, "offset": 5}, {"page": 2, "cursor": "x"}, {"perPage": 5, "limit": 7}, {"cursor": "x", "offset": 5}],
)
async def test_two_ways_of_paging_are_refused(host: Host, given: dict[str, Any]) -> None:
    assert "use one way of paging" in (await host.fail("list_tasks", **given))["message"]


@pytest.mark.parametrize(
    "status", ["done", "Done", "COMPLETED", "finished", '["completed"]', ["Completed"], " completed "]
)
async def test_words_for_a_state_are_understood(host: Host, status: Any) -> None:
    name = uuid.uuid4().hex
    task_id = await host.create(**RECORD, taskListId=name)
    await host.call("update_task", id=task_id, status="done")
    found = (await host.call("list_tasks", taskListId=name, status=status))["tasks"]
    assert [(task["id"], task["status"]) for task in found] == [(task_id, "completed")]


@pytest.mark.parametrize(
    ("word", "status"), [("In Progress", "running"), ("canceled", "cancelled"), ("todo", "pending")]
)
async def test_words_for_a_state_are_reported(host: Host, word: str, status: str) -> None:
    task_id = await host.create(**RECORD)
    assert (await host.call("update_task", id=task_id, status=word))["status"] == status


@pytest.mark.parametrize(("word", "approved"), [("approve", True), ("Yes", True), ("deny", False), ("REJECT", False)])
async def test_words_for_a_decision_are_understood(host: Host, word: str, approved: bool) -> None:
    task_id, call_id = await host.waiting("$ true")
    assert (await host.decide(task_id, call_id, word))["approved"] is approved


@pytest.mark.parametrize("word", ["always", "allow_always", "yes to all", "all", "true", "", "maybe"])
async def test_always_is_guessed_from_no_word(host: Host, word: str) -> None:
    task_id, call_id = await host.waiting("$ true")
    call = await host.shown(task_id, call_id)
    error = await host.fail("approve_tool_call", id=task_id, callId=call_id, call=call, outcome=word)
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "outcome")
    assert await host.waiting_call(task_id) == call_id


@pytest.mark.parametrize("name", ["taskId", "task_id", "taskID", "ID"])
async def test_a_task_is_named_in_any_spelling(host: Host, name: str) -> None:
    task_id = await host.create(**RECORD)
    assert (await host.call("get_task", **{name: task_id}))["id"] == task_id


@pytest.mark.parametrize(("asked", "given"), [(101, 100), ("1000", 100)])
async def test_a_limit_beyond_the_most_is_the_most(host: Host, asked: Any, given: int) -> None:
    assert (await host.call("list_tasks", limit=asked))["limit"] == given


async def test_all_that_is_wrong_is_told_unknown_fields_first(host: Host) -> None:
    error = await host.fail("create_task", titel="x", autoExecute="maybe", workspace={"pth": "/x"})
    assert error["field"] == "titel"
    assert [problem["field"] for problem in error["problems"]] == [
        "titel",
        "workspace.pth",
        "message",
        "autoExecute",
        "workspace.path",
    ]
    assert "titel: there is no such field; did you mean title?" in error["message"]
    assert "workspace.pth: there is no such field; did you mean path?" in error["message"]
    assert "message: is required" in error["message"]


async def test_a_field_in_two_spellings_is_refused_where_they_differ(host: Host) -> None:
    error = await host.fail("create_task", **RECORD, autoExecute=True, auto_execute=False)
    assert error["field"] == "auto_execute"


async def test_a_repeated_request_is_known_by_what_it_means(host: Host) -> None:
    key = uuid.uuid4().hex
    first = await host.create(**RECORD, idempotencyKey=key, env={"A": "1"})
    again: dict[str, Any] = {"env": '{"A": 1}', "title": "", "auto_execute": "true", "wait_for_previous": True}
    assert await host.create(**RECORD, idempotency_key=key, **again) == first


async def test_an_empty_text_takes_a_value_away_where_it_is_meant_to(host: Host) -> None:
    task_id = await host.create(**RECORD, title="a title", taskListId="a list")
    await host.call("update_task", id=task_id, title="", taskListId="", dependsOn="", metadata="", status="")
    task = await host.call("get_task", id=task_id)
    assert (task["title"], task.get("taskListId"), task["status"]) == (None, None, "pending")


@pytest.mark.parametrize("options", [{"metadata": {"a": 1}}, '{"metadata": {"a": 1}}', {"metadata": '{"a": 1}'}])
async def test_what_is_rare_stands_in_options(host: Host, options: Any) -> None:
    task_id = await host.create(**RECORD, options=options)
    assert (await host.call("get_task", id=task_id))["metadata"] == {"a": 1}


async def test_what_is_rare_stands_at_the_top_too_but_not_twice(host: Host) -> None:
    task_id = await host.create(**RECORD, metadata={"a": 1}, options={"metadata": {"a": 1}, "maxCalls": None})
    assert (await host.call("get_task", id=task_id))["metadata"] == {"a": 1}
    error = await host.fail("create_task", **RECORD, metadata={"a": 1}, options={"metadata": {"a": 2}})
    assert error["field"] == "options.metadata"


async def test_a_title_is_one_line_without_control_characters(host: Host) -> None:
    task_id = await host.create(**RECORD, title=" two\n lines\tof it ⚠️ ")
    assert (await host.call("get_task", id=task_id))["title"] == "two lines of it ⚠️"


@pytest.mark.parametrize("character", ["\x1b", "\x00", "\x7f", "\x9b", "\u202e", "\u2066"])
@pytest.mark.parametrize("field", ["title", "progressMessage"])
async def test_control_characters_in_a_line_name_its_field(host: Host, field: str, character: str) -> None:
    task_id = await host.create(**RECORD)
    error = await host.fail("update_task", id=task_id, **{field: f"a{character}[2J"})
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", field)
    assert character not in error["message"]
