"""Rights of a task's agent, tried by a program in its sandbox: each refused attempt is an event."""

import json
from typing import Any

import pytest

from tests.homes import Windows
from tests.servers import Host
from tests.tasks.delegation.conftest import RUN, Call, attempts, files, run, visited

pytestmark = pytest.mark.anyio

ECHO = "$ echo x"


async def refused(window: Windows, call: Call, code: str, field: str | None = None, **arguments: Any) -> None:
    """Check that the only call of a task is refused with these words, and that its log says so once."""
    async with window() as host:
        task, (answer,) = await visited(host, call, **arguments)
        made = await host.call("list_tasks", parentTaskId=task["id"])
    error = answer["error"]
    assert (error["code"], error.get("field")) == (code, field), error
    assert attempts(task) == [(code, call[0])]
    assert made["total"] == 0


@pytest.mark.parametrize(
    "call",
    [
        ("approve_tool_call", {"id": "x", "callId": "y", "outcome": "proceed_once"}),
        ("update_task", {"id": "x", "title": "mine"}),
        ("delete_task", {"id": "x"}),
        ("get_task_graph", {"taskListId": "x"}),
        ("list_agents", {}),
        ("list_grants", {}),
        ("revoke_grant", {"id": "x"}),
        ("no_such_tool", {}),
    ],
)
async def test_tools_that_are_not_for_agents_are_forbidden(window: Windows, call: Call) -> None:
    await refused(window, call, "FORBIDDEN")


async def test_little_is_told_of_a_tool_with_a_very_long_name(window: Windows) -> None:
    async with window() as host:
        script = "visitor = Visitor(); visitor.begin(); print(json.dumps(visitor.call('x' * 200_000)))"
        task = await run(host, script)
    error = json.loads(task["output"]["content"])["error"]
    assert error["code"] == "FORBIDDEN"
    assert len(error["message"]) < 300
    assert attempts(task) == [("FORBIDDEN", "x" * 100)]


@pytest.mark.parametrize("before", [0, 90], ids=["whole", "cut"])
async def test_a_secret_in_the_name_of_a_tool_is_masked_in_the_log(window: Windows, before: int) -> None:
    async with window() as host:
        script = f"visitor = Visitor(); visitor.begin(); visitor.call('x' * {before} + os.environ['S'])"
        task = await run(host, f"import os; {script}", secrets={"S": "hidden-value-of-26-letters"})
    assert attempts(task) == [("FORBIDDEN", f"{'x' * before}[secret S]")]
    assert "hidden-value" not in json.dumps(task)


@pytest.mark.parametrize("tool", ["get_task", "cancel_task", "send_message"])
async def test_any_other_task_is_not_there(window: Windows, tool: str) -> None:
    async with window() as host:
        other = await host.create("# a record", agentId="none")
        parent = await host.create("# a record", agentId="none")
        message = {"message": "go on"} if tool == "send_message" else {}
        script = f"""
visitor = Visitor()
visitor.begin()
for task in {[other, parent, "no-such-task"]} + [os.path.basename(os.getcwd())]:
    print(json.dumps(visitor.call({tool!r}, id=task, **{message})))
"""
        task = await run(host, script, parentTaskId=parent)
        assert (await host.call("get_task", id=other))["status"] == "pending"
    errors = [json.loads(line)["error"] for line in task["output"]["content"].splitlines()]
    assert [error["id"] for error in errors] == [other, parent, "no-such-task", task["id"]]
    assert {(e["code"], e["message"].replace(e["id"], "ID")) for e in errors} == {
        ("NOT_FOUND", "there is no task 'ID'; list_tasks has the ids of yours, of which 8 characters are enough")
    }
    assert attempts(task) == [("NOT_FOUND", tool)] * 4


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("parentTaskId", {"parentTaskId": "another"}),
        ("triggeringAgentId", {"triggeringAgentId": "a person"}),
        ("assignedAgentId", {"assignedAgentId": "me"}),
        ("taskListId", {"taskListId": "everybody's"}),
        ("conversationId", {"conversationId": "somebody's"}),
        ("secrets", {"secrets": {"KEY": "a secret of my own"}}),
        ("secretNames", {"secretNames": ["DEPLOY_TOKEN"]}),
        ("agentId", {"agentId": "llm"}),
        ("agentId", {"agentId": "none"}),
        ("allowHooks", {"allowHooks": True}),
        ("showInHistory", {"showInHistory": False}),
        ("files[0].source", {"files": [{"path": "a", "source": "/etc/passwd"}]}),
        ("mcpServers", {"mcpServers": ["tracker"]}),
    ],
)
async def test_what_is_not_for_agents_to_say_is_forbidden(window: Windows, field: str, asked: dict[str, Any]) -> None:
    await refused(window, ("create_task", {"message": ECHO, **asked}), "FORBIDDEN", field)


async def test_calls_that_wait_for_approval_are_not_let_go_by_handing_them_on(window: Windows) -> None:
    async with window() as host:
        calls: list[Call] = [
            ("create_task", {"message": ECHO, "autoExecute": True}),
            ("create_task", {"message": ECHO}),
        ]
        task_id, call_id = await host.waiting(RUN, files=files(calls))
        await host.decide(task_id, call_id, "proceed_always")
        task = await host.until(task_id, "completed", include=["events"])
        (sub_task,) = (await host.call("list_tasks", parentTaskId=task_id))["tasks"]
        waiting = await host.until(sub_task["id"], "awaiting_approval")
    assert attempts(task) == [("FORBIDDEN", "create_task")]
    assert waiting["autoExecute"] is False


@pytest.mark.parametrize(
    ("field", "own", "asked"),
    [
        ("limits.memoryMb", {"limits": {"memoryMb": 512}}, {"limits": {"memoryMb": 513}}),
        ("timeoutSeconds", {"timeoutSeconds": 60}, {"timeoutSeconds": 61}),
        ("maxCalls", {"maxCalls": 3}, {"maxCalls": 4}),
    ],
)
async def test_no_limit_is_wider_than_the_tasks_own(
    window: Windows, field: str, own: dict[str, Any], asked: dict[str, Any]
) -> None:
    await refused(window, ("create_task", {"message": ECHO, **asked}), "LIMIT_EXCEEDED", field, **own)


async def test_what_a_task_is_held_to_holds_its_sub_tasks(window: Windows) -> None:
    own: dict[str, Any] = {
        "limits": {"memoryMb": 512},
        "timeoutSeconds": 60,
        "maxCalls": 3,
        "require": {"network": "none"},
        "env": {"COLOUR": "red", "SIZE": "1"},
    }
    async with window() as host:
        call: Call = ("create_task", {"message": ECHO, "limits": {"processes": 64}, "env": {"SIZE": "2"}})
        _, (made,) = await visited(host, call, **own)
        sub_task = await host.call("get_task", id=made["id"])
    assert sub_task["limits"] == {"memoryMb": 512, "processes": 64}
    assert (sub_task["timeoutSeconds"], sub_task["maxCalls"]) == (60, 3)
    assert sub_task["require"] == {"network": "none"}
    assert sub_task["env"] == {"COLOUR": "red", "SIZE": "2"}


async def test_a_secret_is_handed_on_by_name_by_whoever_has_it(window: Windows) -> None:
    async with window() as host:
        message = '$ test ${#KEY} = 11 && test -z "$OTHER" && echo opened'
        calls: list[Call] = [
            ("create_task", {"message": message, "secretNames": ["KEY"]}),
            ("get_task", {"id": "ID", "waitSeconds": 20}),
            ("send_message", {"id": "ID", "message": message}),
            ("get_task", {"id": "ID", "waitSeconds": 20}),
        ]
        secrets = {"KEY": "open-sesame", "OTHER": "something else"}
        _, (_, first, _, again) = await visited(host, *calls, secrets=secrets)
    assert first["output"]["content"] == "opened\n"
    assert (again["messageCount"], again["output"]["content"]) == (4, "opened\n")


async def test_a_secret_is_not_handed_on_in_a_text(window: Windows) -> None:
    async with window() as host:
        calls: list[Call] = [("create_task", {"message": "$ echo open-sesame"})]
        _, (answer,) = await visited(host, *calls, secrets={"KEY": "open-sesame"})
    assert (answer["error"]["code"], answer["error"]["field"]) == ("VALIDATION_ERROR", "message")


async def test_a_sub_task_waits_for_sub_tasks_alone(window: Windows) -> None:
    async with window() as host:
        other = await host.create("# a record", agentId="none")
        await refused_in(host, ("create_task", {"message": ECHO, "dependsOn": [other]}), "NOT_FOUND", "dependsOn")


async def refused_in(host: Host, call: Call, code: str, field: str) -> None:
    task, (answer,) = await visited(host, call)
    assert (answer["error"]["code"], answer["error"]["field"]) == (code, field)
    assert attempts(task) == [(code, call[0])]


async def test_lists_show_nothing_but_sub_tasks(window: Windows) -> None:
    async with window() as host:
        other = await host.create("# a record", agentId="none")
        task, (made, mine, theirs, found) = await visited(
            host,
            ("create_task", {"message": ECHO}),
            ("list_tasks", {}),
            ("list_tasks", {"parentTaskId": other}),
            ("list_tasks", {"query": "record"}),
        )
    assert [row["id"] for row in mine["tasks"]] == [made["id"]]
    assert (theirs["error"]["code"], found["error"]["code"]) == ("NOT_FOUND", "FORBIDDEN")
    assert attempts(task) == [("NOT_FOUND", "list_tasks"), ("FORBIDDEN", "list_tasks")]


async def test_lists_do_not_show_what_others_have_put_beneath_the_task(window: Windows) -> None:
    async with window() as host:
        task, (made,) = await visited(host, ("create_task", {"message": ECHO}))
        await host.create("# a record", agentId="none", parentTaskId=task["id"])
        await host.call("send_message", id=task["id"], message=RUN, files=files([("list_tasks", {})]))
        task = await host.until(task["id"], "completed")
    found = json.loads(task["output"]["content"])
    assert ([row["id"] for row in found["tasks"]], found["total"]) == ([made["id"]], 1)


async def test_the_same_key_as_somebody_elses_makes_another_task(window: Windows) -> None:
    async with window() as host:
        other = await host.create("# a record", agentId="none", idempotencyKey="k")
        call: Call = ("create_task", {"message": ECHO, "idempotencyKey": "k"})
        _, (first, again) = await visited(host, call, call)
    assert first["id"] == again["id"] != other


@pytest.mark.parametrize(
    ("variable", "number", "made"),
    [("REMIT_SUBTASKS__COUNT", "2", 2), ("REMIT_SUBTASKS__DEPTH", "1", 3)],
)
async def test_no_more_are_made_than_the_settings_allow(window: Windows, variable: str, number: str, made: int) -> None:
    call: Call = ("create_task", {"message": '$ test -z "$REMIT_DOOR"' if made == 3 else ECHO})
    async with window(**{variable: number}) as host:
        task, answers = await visited(host, call, call, call)
        below = [await host.until(answer["id"], "completed") for answer in answers if "id" in answer]
    assert len(below) == made
    assert attempts(task) == [("LIMIT_EXCEEDED", "create_task")] * (3 - made)


async def test_attempts_do_not_flood_the_log(window: Windows) -> None:
    async with window() as host:
        task, answers = await visited(host, *[("delete_task", {"id": "x"})] * 150)
    assert {answer["error"]["code"] for answer in answers} == {"FORBIDDEN"}
    assert len(attempts(task)) == 100


async def test_the_tools_are_shown_as_they_may_be_used(window: Windows) -> None:
    script = "v = Visitor(); v.begin(); print(json.dumps(v.request('tools/list')['result']['tools']))"
    async with window() as host:
        task = await run(host, script)
    tools = {tool["name"]: tool["inputSchema"] for tool in json.loads(task["output"]["content"])}
    assert set(tools) == {"create_task", "list_tasks", "get_task", "send_message", "cancel_task"}
    properties = tools["create_task"]["properties"]
    assert properties["agentId"]["anyOf"][0]["enum"] == ["shell"]
    hidden = {"parentTaskId", "triggeringAgentId", "secrets", "taskListId", "conversationId", "assignedAgentId"}
    rare = properties["options"]["anyOf"][0]["properties"]
    assert not hidden.intersection(properties) | hidden.intersection(rare)
    assert "source" not in properties["files"]["anyOf"][0]["items"]["properties"]
    assert properties["workspace"]["anyOf"][0]["properties"]["path"]["enum"] == ["."]


async def test_who_may_not_hand_on_has_no_callback_channel(window: Windows) -> None:
    async with window(REMIT_AGENTS__SHELL__DELEGATE="false") as host:
        task = await host.done('$ echo "channel: $REMIT_DOOR$REMIT_TOKEN"; ls /run')
    assert task["output"]["content"] == "channel: \nlauncher.py\n"


async def test_files_that_a_repeated_request_brings_again_do_not_count(window: Windows) -> None:
    script = """
visitor = Visitor()
visitor.begin()
for name in "aaab":
    uploads = [{"path": name, "content": 300 * 1024 * "x"}]
    print(json.dumps(visitor.call("create_task", message="$ echo x", files=uploads, idempotencyKey=name)))
"""
    async with window() as host:
        task = await run(host, script, limits={"workspaceMb": 1})
    answers = [json.loads(line) for line in task["output"]["content"].splitlines()]
    assert [answer.get("error") for answer in answers] == [None] * 4
    assert len({answer["id"] for answer in answers}) == 2


async def test_files_of_a_message_that_is_sent_again_under_its_key_do_not_count(window: Windows) -> None:
    script = """
visitor = Visitor()
visitor.begin()
task = visitor.call("create_task", message="$ echo x")["id"]
visitor.call("get_task", id=task, waitSeconds=20)
uploads = [{"path": "a", "content": 600 * 1024 * "x"}]
for _ in range(2):
    sent = visitor.call("send_message", id=task, message="$ echo y", files=uploads, idempotencyKey="k")
    print(json.dumps(sent))
    found = visitor.call("get_task", id=task, waitSeconds=20)
print(found["messageCount"])
"""
    async with window() as host:
        task = await run(host, script, limits={"workspaceMb": 1})
    *answers, count = [json.loads(line) for line in task["output"]["content"].splitlines()]
    assert [answer.get("error") for answer in answers] == [None] * 2
    assert count == 4


async def test_files_for_sub_tasks_are_bounded_by_the_tasks_own_workspace_over_all_its_runs(window: Windows) -> None:
    script = """
visitor = Visitor()
visitor.begin()
for name in "ab":
    uploads = [{"path": name, "content": 600 * 1024 * "x"}]
    print(json.dumps(visitor.call("create_task", message="$ echo x", files=uploads)))
"""
    async with window() as host:
        task = await run(host, script, limits={"workspaceMb": 1})
        await host.call("send_message", id=task["id"], message="$ python3 -I -S uploads/script.py")
        again = await host.until(task["id"], "completed")
    answers = [json.loads(line) for turn in (task, again) for line in turn["output"]["content"].splitlines()]
    codes = [answer.get("error", {}).get("code") for answer in answers]
    assert codes == [None, "LIMIT_EXCEEDED", "LIMIT_EXCEEDED", "LIMIT_EXCEEDED"]
    assert answers[1]["error"]["field"] == "files"
