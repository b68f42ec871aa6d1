"""Creating a task: its fields, their defaults, and the answer."""

import io
import zipfile
from base64 import b64encode
from typing import Any

import pytest

from tests.servers import Host


@pytest.mark.behaviour(
    "create_task:showInHistory:default_true",
    "create_task:autoExecute:default_true",
    "create_task:systemPrompt:default_null",
    "create_task:env:default_null",
    "create_task:secrets:default_null",
    "get_task:systemPrompt:null",
    "get_task:env:null",
)
async def test_what_is_not_asked_for_is_the_default(host: Host) -> None:
    task = await host.call("get_task", id=await host.create("$ true"))
    assert (task["showInHistory"], task["autoExecute"]) == (True, True)
    assert (task["systemPrompt"], task["env"], task["secretNames"]) == (None, None, [])


@pytest.mark.behaviour("create_task:answer:id", "create_task:answer:status", "create_task:answer:fields")
async def test_a_creation_answers_with_id_status_and_warnings(host: Host) -> None:
    created = await host.call("create_task", message="$ true", title="a title")
    assert created == {"id": created["id"], "status": "pending", "warnings": []}
    assert (await host.call("get_task", id=created["id"]))["title"] == "a title"


@pytest.mark.parametrize(("agent", "next_step"), [("none", "reports with update_task"), ("shell", "waitSeconds waits")])
async def test_a_creation_says_in_words_what_comes_next(host: Host, agent: str, next_step: str) -> None:
    result = await host.client.call_tool("create_task", {"message": "$ true", "agentId": agent})
    assert next_step in result.content[0].model_dump()["text"]


@pytest.mark.behaviour("create_task:background")
async def test_a_creation_does_not_wait_for_the_work(host: Host) -> None:
    created = await host.call("create_task", message="$ sleep 60")
    assert created["status"] == "pending"
    await host.until(created["id"], "running")
    await host.call("cancel_task", id=created["id"])


@pytest.mark.behaviour("create_task:answer:blocked")
async def test_a_task_that_has_to_wait_for_another_is_blocked_from_the_first(host: Host) -> None:
    first = await host.create("one", agentId="none")
    created = await host.call("create_task", message="two", agentId="none", dependsOn=[first])
    assert created["status"] == "blocked"


@pytest.mark.behaviour(
    "create_task:description",
    "create_task:assignedAgentId",
    "create_task:triggeringAgentId",
    "create_task:dependsOn",
    "get_task:description",
    "get_task:assignedAgentId",
    "get_task:triggeringAgentId",
    "get_task:dependsOn",
)
async def test_what_a_task_belongs_to_is_shown_as_it_was_given(host: Host) -> None:
    asked = {
        "description": "about it",
        "assignedAgentId": "a-1",
        "triggeringAgentId": "t-1",
        "dependsOn": [await host.create("first", agentId="none")],
    }
    task = await host.call("get_task", id=await host.create("second", agentId="none", **asked))
    assert {name: task[name] for name in asked} == asked


@pytest.mark.behaviour("create_task:taskListId", "get_task:taskListId", "list_tasks:taskListId:any_text")
async def test_any_text_can_name_a_list(host: Host) -> None:
    name = 'Ein Name: "ü/*🙂\n'
    task_id = await host.create("one", agentId="none", taskListId=name)
    assert (await host.call("get_task", id=task_id))["taskListId"] == name
    assert [task["id"] for task in (await host.call("list_tasks", taskListId=name))["tasks"]] == [task_id]


@pytest.mark.behaviour("create_task:dependsOn:uuid")
async def test_a_dependency_of_any_form_that_is_no_task_is_not_found(host: Host) -> None:
    error = await host.fail("create_task", message="$ true", dependsOn=["no uuid"])
    assert (error["code"], error["field"]) == ("NOT_FOUND", "dependsOn")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("status", "in_progress", marks=pytest.mark.behaviour("create_task:status")),
        pytest.param("blockedReason", "because", marks=pytest.mark.behaviour("create_task:blockedReason")),
        pytest.param("blockedByTaskIds", [], marks=pytest.mark.behaviour("create_task:blockedByTaskIds")),
        pytest.param("maxRetries", 3, marks=pytest.mark.behaviour("create_task:maxRetries")),
        pytest.param("createdByAgentId", "a-1", marks=pytest.mark.behaviour("create_task:createdByAgentId")),
        pytest.param("parentExecutionId", "x", marks=pytest.mark.behaviour("create_task:parent_execution_id")),
        pytest.param("input", {"text": "true"}, marks=pytest.mark.behaviour("create_task:input_text")),
        pytest.param("id", "x", marks=pytest.mark.behaviour("create_task:id")),
    ],
)
async def test_a_field_that_means_nothing_here_is_refused_by_its_name(host: Host, field: str, value: Any) -> None:
    error = await host.fail("create_task", message="$ true", **{field: value})
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", field)


@pytest.mark.behaviour("create_task:title:required")
async def test_a_title_may_be_left_out(host: Host) -> None:
    task = await host.call("get_task", id=await host.create("what to do", agentId="none"))
    assert (task["title"], task["message"]) == (None, "what to do")


@pytest.mark.behaviour("create_task:files:with_env")
async def test_files_variables_and_secrets_come_in_one_request(host: Host) -> None:
    task = await host.done(
        '$ cat uploads/a; printf "%s %s" "$A" "${#S}"',
        files=[{"path": "a", "content": "from a file, "}],
        env={"A": "from env"},
        secrets={"S": "a-secret"},
    )
    assert task["output"]["content"] == "from a file, from env 8"


@pytest.mark.behaviour("create_task:files:at_most_20")
async def test_twenty_files_come_with_a_task(host: Host) -> None:
    files = [{"path": str(number), "content": ""} for number in range(20)]
    assert (await host.done("$ ls uploads | wc -l", files=files))["output"]["content"] == "20\n"
    error = await host.fail("create_task", message="$ true", files=[*files, {"path": "20", "content": ""}])
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "files")


@pytest.mark.behaviour("send_message:files:at_most_20")
async def test_twenty_files_come_with_a_message(host: Host) -> None:
    task = await host.done("$ true")
    files = [{"path": str(number), "content": ""} for number in range(21)]
    error = await host.fail("send_message", id=task["id"], message="$ ls uploads | wc -l", files=files)
    await host.call("send_message", id=task["id"], message="$ ls uploads | wc -l", files=files[1:])
    assert (error["field"], (await host.until(task["id"], "completed"))["result"]) == ("files", "20\n")


@pytest.mark.behaviour("send_message:files:zip")
async def test_an_archive_stays_as_it_is(host: Host) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("folder/inside", "text")
    task = await host.done("$ true")
    files = [{"path": "a.zip", "contentBase64": b64encode(archive.getvalue()).decode()}]
    await host.call("send_message", id=task["id"], message="$ find uploads -mindepth 1", files=files)
    assert (await host.until(task["id"], "completed"))["result"] == "uploads/a.zip\n"


@pytest.mark.behaviour("send_message:status", "send_message:files:named")
async def test_a_follow_up_waits_for_its_place_and_stays_as_it_was_written(host: Host) -> None:
    task = await host.done("$ true")
    answer = await host.call("send_message", id=task["id"], message="$ true", files=[{"path": "a", "content": ""}])
    again = await host.until(task["id"], "completed", include=["messages"])
    assert (answer["status"], again["messages"][2]["content"]) == ("pending", "$ true")


@pytest.mark.behaviour("create_task:autoExecute:event", "events:tool_call")
async def test_a_call_that_waits_is_an_event(host: Host) -> None:
    task_id, call_id = await host.waiting("$ true")
    task = await host.call("get_task", id=task_id, include=["events"])
    told = [event["data"] for event in task["events"] if event["type"] == "tool_call"]
    assert told[-1] == {"callId": call_id, "toolName": "shell", "status": "awaiting_approval"}
