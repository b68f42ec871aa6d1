"""A bad argument of each kind is answered by an error that names the field."""

from typing import Any

import pytest

from tests.servers import Host

CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "empty message": ("create_task", {"message": ""}, "message"),
    "blank message": ("create_task", {"message": "  "}, "message"),
    "message too long": ("create_task", {"message": "x" * 100_001}, "message"),
    "unknown field": ("create_task", {"message": "$ true", "titel": "x"}, "titel"),
    "bad secret name": ("create_task", {"message": "$ true", "secrets": {"A-B": "x"}}, "secrets"),
    "variable with NUL": ("create_task", {"message": "$ true", "env": {"A": "\0"}}, "env.A"),
    "environment too large": ("create_task", {"message": "$ true", "env": {"A": "x" * 70_000}}, "arguments"),
    "secret and secret name": ("create_task", {"message": "$ true", "secrets": {"A": "x"}, "secretNames": ["A"]}, ""),
    "unknown secret name": ("create_task", {"message": "$ true", "secretNames": ["NOPE"]}, "secretNames"),
    "timeout of zero": ("create_task", {"message": "$ true", "timeoutSeconds": 0}, "timeoutSeconds"),
    "a text for a yes or no": ("create_task", {"message": "$ true", "autoExecute": "off"}, "autoExecute"),
    "an event beyond all numbers": ("get_task", {"id": "x", "afterEvent": 10**20}, "afterEvent"),
    "one unknown status of two": ("list_tasks", {"status": ["failed", "nonsense"]}, "status[1]"),
    "metadata too long": ("create_task", {"message": "$ true", "metadata": {"k": "x" * 20_000}}, "metadata"),
    "limit above the operator's": (
        "create_task",
        {"message": "$ true", "limits": {"memoryMb": 10**6}},
        "limits.memoryMb",
    ),
    "file without content": ("create_task", {"message": "$ true", "files": [{"path": "a"}]}, "files[0]"),
    "file with a bad name": (
        "create_task",
        {"message": "$ true", "files": [{"path": "ok", "content": ""}, {"path": "../a", "content": ""}]},
        "files[1].path",
    ),
    "file that is no base64": (
        "create_task",
        {"message": "$ true", "files": [{"path": "a", "contentBase64": "?"}]},
        "",
    ),
    "missing template key": ("create_task", {"message": "$ true", "env": {"A": "<<mcp.NOPE>>"}}, "NOPE"),
    "negative offset": ("list_tasks", {"offset": -1}, "offset"),
    "a wait before now": ("get_task", {"id": "x", "waitSeconds": -1}, "waitSeconds"),
    "answer too small": ("get_task", {"id": "x", "maxChars": 1}, "maxChars"),
    "unknown part": ("get_task", {"id": "x", "include": ["all"]}, "include[0]"),
    "missing call": ("approve_tool_call", {"id": "x", "call": "x", "outcome": "cancel"}, "callId"),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_bad_argument_is_named(host: Host, case: str) -> None:
    tool, arguments, field = CASES[case]
    error = await host.fail(tool, **arguments)
    assert error["code"] in ("VALIDATION_ERROR", "LIMIT_EXCEEDED", "TEMPLATE_ERROR")
    assert field in error["message"]
    assert field in str(error.get("field", error.get("key", "")))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        pytest.param({}, "message", marks=pytest.mark.behaviour("create_task:message:required")),
        pytest.param({"message": 7}, "message", marks=pytest.mark.behaviour("create_task:message:invalid")),
        pytest.param({"env": {"1A": "x"}}, "env.1A", marks=pytest.mark.behaviour("create_task:env:invalid_name")),
        pytest.param({"secrets": {"A-B": "x"}}, "secrets", marks=pytest.mark.behaviour("create_task:env:invalid_name")),
        pytest.param({"env": {"A": ["1"]}}, "env.A", marks=pytest.mark.behaviour("create_task:env:text_values")),
    ],
)
async def test_what_no_task_can_be_made_of_is_named(host: Host, arguments: dict[str, Any], field: str) -> None:
    whole = arguments if field == "message" else {"message": "$ true", **arguments}
    error = await host.fail("create_task", **whole)
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", field)


@pytest.mark.behaviour("approve_tool_call:unknown_outcome")
async def test_an_outcome_that_is_none_is_refused(host: Host) -> None:
    task_id, call_id = await host.waiting("$ true")
    error = await host.fail("approve_tool_call", id=task_id, callId=call_id, call="shell: true", outcome="maybe")
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "outcome")
    assert await host.waiting_call(task_id) == call_id


@pytest.mark.parametrize(
    ("tool", "more"),
    [
        pytest.param("get_task", {}, marks=pytest.mark.behaviour("get_task:not_found")),
        pytest.param("cancel_task", {}, marks=pytest.mark.behaviour("cancel_task:not_found")),
        pytest.param("delete_task", {}, marks=pytest.mark.behaviour("delete_task:not_found")),
        pytest.param("send_message", {"message": "$ x"}),
        pytest.param(
            "approve_tool_call",
            {"callId": "x", "call": "x", "outcome": "cancel"},
            marks=pytest.mark.behaviour("approve_tool_call:task_not_found"),
        ),
    ],
)
async def test_an_unknown_task_is_not_found(host: Host, tool: str, more: dict[str, Any]) -> None:
    assert (await host.fail(tool, id="no-such-task", **more))["code"] == "NOT_FOUND"


@pytest.mark.behaviour("approve_tool_call:call_not_found")
async def test_an_unknown_call_is_not_found(host: Host) -> None:
    task = await host.done("$ true")
    error = await host.fail("approve_tool_call", id=task["id"], callId="call_x", call="x", outcome="cancel")
    assert error["code"] == "NOT_FOUND"


async def test_an_unknown_agent_is_named(host: Host) -> None:
    error = await host.fail("create_task", message="true", agentId="nobody")
    assert (error["code"], error["field"]) == ("AGENT_UNAVAILABLE", "agentId")
    assert "nobody" in error["message"]


async def test_nothing_is_left_of_a_refused_task(host: Host, shared_home: Any) -> None:
    before = {entry.name for entry in (shared_home / "workspaces").iterdir()}
    total = (await host.call("list_tasks"))["total"]
    files = [{"path": "a", "content": "x"}, {"path": "b", "source": "missing"}]
    await host.fail("create_task", message="$ true", files=files)
    assert {entry.name for entry in (shared_home / "workspaces").iterdir()} == before
    assert (await host.call("list_tasks"))["total"] == total


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({"status": "off"}, "status[0]", "must be 'pending', 'blocked'"),
        ({"limit": 0}, "limit", "must be at least 1, not 0"),
        ({"limit": "all"}, "limit", "must be a whole number, not 'all'"),
        ({"includeDetails": "maybe"}, "includeDetails", "must be true or false, not 'maybe'"),
        ({"query": "x" * 1001}, "query", "must have at most 1000 characters"),
        ({"query": ["x"]}, "query", "must be a text, not a list"),
        ({"page": 2, "offset": 5}, "page", "does not go with offset"),
    ],
)
async def test_what_is_expected_is_said_in_plain_words(host: Host, given: Any, field: str, message: str) -> None:
    error = await host.fail("list_tasks", **given)
    assert error["field"] == field
    assert error["message"].startswith(f"{field}: {message}")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"env": ["A=hush"]}, "env: must be an object, not a list"),
        ({"env": "A=hush"}, "env: must be an object, not a text"),
        ({"secrets": {"A": ["hush"]}}, "secrets.A: must be a text, not a list"),
        ({"files": [{"path": "a", "content": 5}]}, "files[0].content: must be a text, not a number"),
        ({"autoExecute": "yes"}, "autoExecute: must be true or false, not 'yes'"),
        ({"workspace": {"path": "/x", "mode": "rw"}}, "must be 'worktree', 'readwrite' or 'readonly', not 'rw'"),
    ],
)
async def test_what_was_typed_is_said_where_it_can_be_no_secret(host: Host, given: Any, message: str) -> None:
    error = await host.fail("create_task", message="$ true", **given)
    assert error["message"].endswith(message)


async def test_a_limit_is_told_as_it_is_written(host: Host) -> None:
    error = await host.fail("get_task", id="x", waitSeconds=-1)
    assert error["message"] == "waitSeconds: must be at least 0, not -1"
