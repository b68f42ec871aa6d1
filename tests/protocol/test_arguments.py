"""A bad argument of each kind is answered by an error that names the field."""

from typing import Any

import pytest

from tests.servers import Host

CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "missing message": ("create_task", {}, "message"),
    "empty message": ("create_task", {"message": ""}, "message"),
    "blank message": ("create_task", {"message": "  "}, "message"),
    "message too long": ("create_task", {"message": "x" * 100_001}, "message"),
    "message of another type": ("create_task", {"message": 7}, "message"),
    "unknown field": ("create_task", {"message": "true", "titel": "x"}, "titel"),
    "bad variable name": ("create_task", {"message": "true", "env": {"1A": "x"}}, "env.1A"),
    "bad secret name": ("create_task", {"message": "true", "secrets": {"A-B": "x"}}, "secrets.A-B"),
    "variable that is no text": ("create_task", {"message": "true", "env": {"A": 1}}, "env.A"),
    "variable with NUL": ("create_task", {"message": "true", "env": {"A": "\0"}}, "env.A"),
    "environment too large": ("create_task", {"message": "true", "env": {"A": "x" * 70_000}}, "arguments"),
    "secret and secret name": ("create_task", {"message": "true", "secrets": {"A": "x"}, "secretNames": ["A"]}, ""),
    "unknown secret name": ("create_task", {"message": "true", "secretNames": ["NOPE"]}, "secretNames"),
    "timeout of zero": ("create_task", {"message": "true", "timeoutSeconds": 0}, "timeoutSeconds"),
    "a text for a yes or no": ("create_task", {"message": "true", "autoExecute": "off"}, "autoExecute"),
    "a field by another spelling": ("create_task", {"message": "true", "auto_execute": False}, "auto_execute"),
    "an event beyond all numbers": ("get_task", {"id": "x", "afterEvent": 10**20}, "afterEvent"),
    "one unknown status of two": ("list_tasks", {"status": ["failed", "done"]}, "status[1]"),
    "metadata too long": ("create_task", {"message": "true", "metadata": {"k": "x" * 20_000}}, "metadata"),
    "limit above the operator's": (
        "create_task",
        {"message": "true", "limits": {"memoryMb": 10**6}},
        "limits.memoryMb",
    ),
    "too many files": (
        "create_task",
        {"message": "true", "files": [{"path": str(n), "content": ""} for n in range(21)]},
        "files",
    ),
    "file without content": ("create_task", {"message": "true", "files": [{"path": "a"}]}, "files[0]"),
    "file with a bad name": (
        "create_task",
        {"message": "true", "files": [{"path": "ok", "content": ""}, {"path": "../a", "content": ""}]},
        "files[1].path",
    ),
    "file that is no base64": ("create_task", {"message": "true", "files": [{"path": "a", "contentBase64": "?"}]}, ""),
    "missing template key": ("create_task", {"message": "true", "env": {"A": "<<mcp.NOPE>>"}}, "NOPE"),
    "limit too large": ("list_tasks", {"limit": 101}, "limit"),
    "limit of zero": ("list_tasks", {"limit": 0}, "limit"),
    "negative offset": ("list_tasks", {"offset": -1}, "offset"),
    "unknown status": ("list_tasks", {"status": "done"}, "status"),
    "wait too long": ("get_task", {"id": "x", "waitSeconds": 46}, "waitSeconds"),
    "answer too small": ("get_task", {"id": "x", "maxChars": 1}, "maxChars"),
    "unknown part": ("get_task", {"id": "x", "include": ["all"]}, "include[0]"),
    "unknown outcome": ("approve_tool_call", {"id": "x", "callId": "y", "outcome": "yes"}, "outcome"),
    "missing call": ("approve_tool_call", {"id": "x", "outcome": "cancel"}, "callId"),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_bad_argument_is_named(host: Host, case: str) -> None:
    tool, arguments, field = CASES[case]
    error = await host.fail(tool, **arguments)
    assert error["code"] in ("VALIDATION_ERROR", "LIMIT_EXCEEDED", "TEMPLATE_ERROR")
    assert field in error["message"]
    assert field in str(error.get("field", error.get("key", "")))


@pytest.mark.parametrize("tool", ["get_task", "cancel_task", "delete_task", "send_message"])
async def test_an_unknown_task_is_not_found(host: Host, tool: str) -> None:
    more = {"message": "x"} if tool == "send_message" else {}
    assert (await host.fail(tool, id="no-such-task", **more))["code"] == "NOT_FOUND"


async def test_an_unknown_call_is_not_found(host: Host) -> None:
    task = await host.done("true")
    error = await host.fail("approve_tool_call", id=task["id"], callId="call_x", outcome="cancel")
    assert error["code"] == "NOT_FOUND"


async def test_an_unknown_agent_is_named(host: Host) -> None:
    error = await host.fail("create_task", message="true", agentId="nobody")
    assert error["code"] == "AGENT_UNAVAILABLE"
    assert "nobody" in error["message"]


async def test_nothing_is_left_of_a_refused_task(host: Host, shared_home: Any) -> None:
    before = {entry.name for entry in (shared_home / "workspaces").iterdir()}
    total = (await host.call("list_tasks"))["total"]
    files = [{"path": "a", "content": "x"}, {"path": "b", "source": "missing"}]
    await host.fail("create_task", message="true", files=files)
    assert {entry.name for entry in (shared_home / "workspaces").iterdir()} == before
    assert (await host.call("list_tasks"))["total"] == total
