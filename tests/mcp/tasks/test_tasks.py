"""The tasks of a host, over real stdio."""

import json
import re
from pathlib import Path

import anyio
import pytest
from mcp import MCPError

from tests.servers import Host

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.mark.behaviour(
    "get_task:status:completed", "get_task:output:completed", "get_task:output:content:final", "get_task:error:null"
)
async def test_a_task_runs_its_command_and_keeps_its_output(host: Host) -> None:
    task = await host.done("$ echo one; echo two >&2")
    assert (task["status"], task["error"]) == ("completed", None)
    assert task["output"]["content"] == task["result"] == "one\ntwo\n"
    assert [call["exitStatus"] for call in task["output"]["toolCalls"]] == [0]


@pytest.mark.behaviour(
    "create_task:title",
    "create_task:metadata",
    "create_task:systemPrompt",
    "create_task:env",
    "get_task:by_id",
    "get_task:apiKeyId",
    "get_task:message",
    "get_task:title",
    "get_task:systemPrompt",
    "get_task:showInHistory",
    "get_task:autoExecute",
    "get_task:env",
    "get_task:metadata",
)
async def test_a_task_shows_every_field_it_was_created_with(host: Host) -> None:
    asked = {
        "title": "a title",
        "systemPrompt": "be brief",
        "showInHistory": False,
        "autoExecute": False,
        "env": {"A": "1"},
        "metadata": {"k": {"n": 1}},
        "timeoutSeconds": 7,
    }
    task_id = await host.create("$ echo hi", **asked)
    task = await host.call("get_task", id=task_id)
    assert {name: task[name] for name in asked} == asked
    assert (task["message"], task["agentId"], task["apiKeyId"]) == ("$ echo hi", "shell", "local")


@pytest.mark.behaviour(
    "wire:ids:uuid",
    "wire:times:milliseconds_since_1970",
    "wire:times:microseconds",
    "get_task:id",
    "get_task:createdAt",
    "get_task:startedAt",
    "get_task:completedAt",
    "get_task:updatedAt",
    "get_task:lastActivityAt",
)
async def test_ids_and_times_have_the_promised_form(host: Host) -> None:
    task = await host.done("$ true")
    assert UUID.fullmatch(task["id"])
    times = [task[name] for name in ("createdAt", "startedAt", "completedAt", "updatedAt", "lastActivityAt")]
    assert all(TIME.fullmatch(time) for time in times)
    assert task["createdAt"] <= task["startedAt"] <= task["completedAt"] == task["lastActivityAt"]


@pytest.mark.behaviour("wire:null")
async def test_optional_arguments_may_be_null(host: Host) -> None:
    names = ["title", "systemPrompt", "agentId", "autoExecute", "env", "secrets", "files", "metadata", "timeoutSeconds"]
    task = await host.done("$ true", **dict.fromkeys(names))
    assert (task["status"], task["agentId"], task["autoExecute"]) == ("completed", "shell", True)


@pytest.mark.behaviour(
    "create_task:execution_error", "get_task:status:failed", "get_task:error", "get_task:call:status:error"
)
async def test_a_failing_command_fails_the_task_and_stops_it_there(host: Host) -> None:
    task = await host.done("$ echo before\n$ echo broken >&2; exit 3\n$ echo never")
    assert (task["status"], task["errorCode"]) == ("failed", "EXECUTION_ERROR")
    assert "status 3" in task["error"]
    assert "broken" in task["error"]
    assert [call["status"] for call in task["output"]["toolCalls"]] == ["success", "error", "cancelled"]


@pytest.mark.behaviour("create_task:files:uploads")
async def test_uploads_lie_in_their_folder(host: Host) -> None:
    files = [{"path": "a/b.txt", "content": "text ü\n"}, {"path": "c.bin", "contentBase64": "AAEC"}]
    task = await host.done("$ cd uploads; cat a/b.txt; od -An -tx1 c.bin", files=files)
    assert task["output"]["content"] == "text ü\n 00 01 02\n"


async def test_a_file_beneath_the_folder_of_the_window_can_be_uploaded_by_name(host: Host, tmp_path: Path) -> None:
    (tmp_path / "project" / "report.txt").write_text("from disk")
    task = await host.done("$ cat uploads/r", files=[{"path": "r", "source": "report.txt"}])
    assert task["output"]["content"] == "from disk"


async def test_a_file_outside_the_folder_of_the_window_cannot_be_uploaded(host: Host, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("private")
    for source in ("../outside", str(tmp_path / "outside")):
        error = await host.fail("create_task", message="$ true", files=[{"path": "r", "source": source}])
        assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "files[0].source")


async def test_the_same_idempotency_key_creates_one_task(host: Host) -> None:
    key = str(id(host))
    first = await host.create("$ true", idempotencyKey=key)
    assert await host.create("$ true", idempotencyKey=key) == first
    error = await host.fail("create_task", message="$ false", idempotencyKey=key)
    assert (error["code"], error["field"]) == ("CONFLICT", "idempotencyKey")


@pytest.mark.behaviour("list_tasks:offset")
async def test_a_list_is_newest_first_and_pages_by_offset(host: Host) -> None:
    ids = [(await host.done("$ true", taskListId="by offset"))["id"] for _ in range(3)]
    page = await host.call("list_tasks", taskListId="by offset", limit=2)
    rest = await host.call("list_tasks", taskListId="by offset", limit=1, offset=2)
    assert [task["id"] for task in page["tasks"] + rest["tasks"]] == ids[::-1]
    assert (page["count"], page["limit"], page["offset"], page["hasMore"]) == (2, 2, 0, True)
    assert page["total"] == rest["total"] == 3


async def test_a_list_can_be_filtered_by_one_or_several_states(host: Host) -> None:
    failed = (await host.done("$ false"))["id"]
    waiting, _ = await host.waiting("$ true")
    for status, expected in (("error", {failed}), (["failed", "in_progress"], {failed, waiting})):
        listed = await host.call("list_tasks", status=status)
        assert expected <= {task["id"] for task in listed["tasks"]}
        assert not {task["status"] for task in listed["tasks"]} & {"completed", "pending"}


@pytest.mark.behaviour("create_task:invoke:sync")
async def test_a_wait_ends_when_the_status_changes(host: Host) -> None:
    task_id = await host.create("$ sleep 0.3")
    task = await host.until(task_id, "completed")
    assert task["id"] == task_id


async def test_a_wait_ends_at_the_first_event_the_reader_does_not_know(host: Host) -> None:
    task_id = await host.create("$ echo first; sleep 60")
    seen, texts = 0, ""
    while "first" not in texts:
        task = await host.call("get_task", id=task_id, waitSeconds=20, include=["events"], afterEvent=seen)
        texts += "".join(event["data"].get("text", "") for event in task["events"])
        seen = task["lastEvent"]
    assert (await host.call("cancel_task", id=task_id))["status"] == "cancelled"


async def test_a_reader_of_events_waits_for_the_next_while_a_task_waits_for_approval(host: Host) -> None:
    task_id, call_id = await host.waiting("$ true")
    seen = (await host.call("get_task", id=task_id))["lastEvent"]
    async with anyio.create_task_group() as group:
        group.start_soon(host.decide, task_id, call_id, "proceed_once")
        task = await host.call("get_task", id=task_id, waitSeconds=20, include=["events"], afterEvent=seen)
    assert task["events"][0]["data"]["outcome"] == "proceed_once"


@pytest.mark.behaviour("events:replay")
async def test_every_later_event_comes_once_and_in_order(host: Host) -> None:
    task = await host.done("$ for i in 1 2 3; do echo $i; done")
    numbers: list[int] = []
    while not numbers or numbers[-1] < task["lastEvent"]:
        after = numbers[-1] if numbers else 0
        page = await host.call("get_task", id=task["id"], include=["events"], afterEvent=after, maxChars=200)
        numbers += [event["number"] for event in page["events"]]
    assert numbers == list(range(1, task["lastEvent"] + 1))


async def test_long_output_is_cut_and_says_how_to_read_the_rest(host: Host) -> None:
    task = await host.done("$ seq 1 5000")
    cut = await host.call("get_task", id=task["id"], maxChars=2000)
    content = cut["output"]["content"]
    assert content.startswith("1\n2\n")
    assert content.endswith("5000\n")
    assert "outputCursor" in content
    whole = await host.call("get_task", id=task["id"], maxChars=100_000)
    assert whole["output"]["content"] == "".join(f"{number}\n" for number in range(1, 5001))


@pytest.mark.behaviour(
    "send_message:message", "send_message:workspace", "send_message:conversation", "get_task:messageCount"
)
async def test_a_follow_up_goes_on_in_the_same_workspace(host: Host) -> None:
    first = await host.done("$ echo $A > note", env={"A": "1", "B": "1"})
    await host.call("send_message", id=first["id"], message="$ cat note; echo $A$B", env={"B": "2"})
    task = await host.until(first["id"], "completed", include=["messages"])
    assert task["output"]["content"] == "1\n12\n"
    assert [(message["role"], message["content"]) for message in task["messages"]] == [
        ("user", "$ echo $A > note"),
        ("assistant", ""),
        ("user", "$ cat note; echo $A$B"),
        ("assistant", "1\n12\n"),
    ]
    assert task["messageCount"] == 4
    assert task["conversationId"] == first["conversationId"]


@pytest.mark.behaviour("send_message:files")
async def test_a_follow_up_brings_files(host: Host) -> None:
    first = await host.done("$ true")
    await host.call("send_message", id=first["id"], message="$ cat uploads/n", files=[{"path": "n", "content": "new"}])
    assert (await host.until(first["id"], "completed"))["output"]["content"] == "new"


@pytest.mark.behaviour("send_message:running")
async def test_a_message_to_a_running_task_is_a_conflict(host: Host) -> None:
    task_id = await host.create("$ sleep 60")
    error = await host.fail("send_message", id=task_id, message="$ true")
    assert error["code"] == "CONFLICT"
    await host.call("cancel_task", id=task_id)


async def test_a_message_to_an_ended_task_cannot_be_left_out(host: Host) -> None:
    task = await host.done("$ true")
    error = await host.fail("send_message", id=task["id"])
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "message")


@pytest.mark.behaviour("cancel_task:running", "cancel_task:idempotent", "get_task:status:cancelled")
async def test_cancelling_ends_every_process_of_a_task(host: Host, tmp_path: Path) -> None:
    marker = f"987654{id(host) % 10_000}"
    task_id = await host.create(f"$ (setsid sleep {marker} &) ; trap '' TERM; sleep {marker}")
    while not _processes(marker):
        await host.call("get_task", id=task_id)
    assert (await host.call("cancel_task", id=task_id))["status"] == "cancelled"
    assert not _processes(marker)
    assert (await host.call("cancel_task", id=task_id))["status"] == "cancelled"


@pytest.mark.behaviour("delete_task:running", "delete_task:data", "delete_task:answer:deleted")
async def test_a_deleted_task_is_gone_with_its_workspace(host: Host, shared_home: Path) -> None:
    task_id = await host.create("$ sleep 60", files=[{"path": "a", "content": ""}])
    workspace = shared_home / "workspaces" / task_id
    assert workspace.is_dir()
    assert await host.call("delete_task", id=task_id) == {"deletedTaskIds": [task_id], "deletedCount": 1}
    assert not workspace.exists()
    assert (await host.fail("get_task", id=task_id))["code"] == "NOT_FOUND"


async def test_a_task_that_takes_too_long_fails(host: Host) -> None:
    task = await host.done("$ echo begun; sleep 60", timeoutSeconds=1)
    assert (task["status"], task["errorCode"]) == ("failed", "TIMEOUT")
    assert "timeoutSeconds" in task["error"]
    assert task["output"]["content"] == "begun\n"
    assert task["output"]["content"] == "begun\n"


async def test_agents_say_what_they_need_and_what_holds_them(host: Host) -> None:
    answer = await host.call("list_agents")
    ready = {agent["id"]: agent["ready"] for agent in answer["agents"]}
    assert (list(ready), ready["shell"], ready["llm"]) == (["shell", "llm", "claude", "opencode"], True, False)
    assert all(agent["needs"] for agent in answer["agents"] if not agent["ready"])
    assert answer["sandbox"] in ("namespaces", "landlock")
    assert answer["notHeld"]


@pytest.mark.parametrize("tool", ["list_grants", "revoke_grant"])
async def test_what_only_a_person_does_is_no_tool_for_a_host(host: Host, tool: str) -> None:
    with pytest.raises(MCPError, match=f"there is no tool '{tool}'"):
        await host.client.call_tool(tool, {"id": "x"})


def _processes(marker: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it ended meanwhile
            if marker.encode() in words:
                found.append(int(entry.name))
    return found


async def test_an_answer_is_bounded_whatever_the_message(host: Host) -> None:
    message = "$ true " + "x" * 90_000
    task_id, _ = await host.waiting(message)
    result = await host.client.call_tool("get_task", {"id": task_id, "include": ["events", "messages"]})
    assert sum(len(block.model_dump()["text"]) for block in result.content) <= 8000
    assert len(json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":"))) <= 8000


async def test_a_long_description_is_cut_like_all_long_text(host: Host) -> None:
    task_id = await host.create("true", agentId="none", description="d" * 10_000)
    task = await host.call("get_task", id=task_id, maxChars=3000)
    kept = re.fullmatch(r"(d+)\n\[… (\d+) characters left out here; raise maxChars …\]\n(d+)", task["description"])
    assert kept
    assert len(kept[1] + kept[3]) + int(kept[2]) == 10_000


async def test_a_task_may_lower_its_limits_and_shows_them(host: Host) -> None:
    task = await host.done("$ ulimit -n", limits={"openFiles": 99})
    assert (task["output"]["content"], task["limits"]) == ("99\n", {"openFiles": 99})
    assert task["sandbox"] in ("namespaces", "landlock")
