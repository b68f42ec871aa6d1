"""Retention as a user sees it: how long a task is kept, and what of it is removed."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.config import load
from server.errors import RemitError
from storage.records.outcomes import TurnEnd
from storage.records.states import Status
from storage.records.tasks import Principal
from storage.sqlite.store import open_store
from tests import servers
from tests.servers import Host
from tests.storage.samples import claimed, new_task

DAY = 24 * 3600
LOCAL = Principal("local", "whoever runs the server")


def later(home: Path, days: int) -> None:
    """Kill the server, and have the tasks end so many days earlier than they did."""
    servers.kill(home)
    age(home, days)


def age(home: Path, days: int) -> None:
    with closing(sqlite3.connect(home / "remit.db", isolation_level=None)) as db:
        db.execute("UPDATE tasks SET completed_at = completed_at - ?", (days * DAY * 1_000_000,))


def task_folders(home: Path) -> list[str]:
    """Return the names of the folders of tasks."""
    return [path.name for path in (home / "workspaces").iterdir() if not path.name.startswith(".")]


async def until_gone(host: Host, task_id: str) -> None:
    with anyio.fail_after(servers.PATIENCE):
        while not (await host.client.call_tool("get_task", {"id": task_id})).is_error:
            pass


async def until_it_says(host: Host, task_id: str, field: str) -> dict[str, Any]:
    with anyio.fail_after(servers.PATIENCE):
        while field not in (task := await host.call("get_task", id=task_id, include=["events"])):
            pass
    return task


@pytest.mark.behaviour("get_task:expiresAt")
async def test_an_ended_task_says_until_when_it_is_kept(host: Host) -> None:
    task = await host.done("$ true")
    expires, completed = (datetime.fromisoformat(task[name]) for name in ("expiresAt", "completedAt"))
    assert expires - completed == timedelta(days=30)


async def test_an_open_task_is_not_said_to_expire(host: Host) -> None:
    task_id, _ = await host.waiting("$ true")
    assert "expiresAt" not in await host.call("get_task", id=task_id)


async def test_a_message_takes_the_end_of_an_ended_task_back(host: Host) -> None:
    record = await host.create("a record", agentId="none")
    await host.call("update_task", id=record, status="completed")
    assert "expiresAt" in await host.call("get_task", id=record)
    await host.call("send_message", id=record, message="go on")
    assert "expiresAt" not in await host.call("get_task", id=record)


async def test_what_is_kept_for_ever_does_not_expire(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_RETENTION__TASKS="forever") as host:
        assert "expiresAt" not in await host.done("$ true")


async def test_a_task_whose_time_is_over_is_removed_with_its_folder(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        old = (await host.done("$ true"))["id"]
        later(own_home, 31)
    async with servers.host(own_home) as host:
        new = await host.done("$ true")
        await until_gone(host, old)
        with anyio.fail_after(servers.PATIENCE):
            while (folders := task_folders(own_home)) != [new["id"]]:
                assert new["id"] in folders
                await host.call("list_tasks")
        assert [task["id"] for task in (await host.call("list_tasks"))["tasks"]] == [new["id"]]


async def test_a_task_that_goes_on_without_its_old_folder_says_so(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        task = await host.done("$ echo x > file")
        later(killed_home, 8)
    async with servers.host(killed_home) as host:
        await until_it_says(host, task["id"], "workspaceRemovedAt")
        sent = await host.call(
            "send_message", id=task["id"], message="$ ls . uploads", files=[{"path": "new", "content": ""}]
        )
        assert ["its earlier turns" in warning for warning in sent["warnings"]] == [True]
        task = await host.until(task["id"], "completed")
        assert task["output"]["content"] == ".:\nuploads\n\nuploads:\nnew\n"
        again = await host.call("send_message", id=task["id"], message="$ ls uploads")
        assert again["warnings"] == []
        assert (await host.until(task["id"], "completed"))["output"]["content"] == "new\n"


async def test_a_folder_that_was_given_up_before_a_crash_is_deleted_by_the_next_start(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task = await host.done("$ echo x > file")
        servers.kill(own_home)
    with closing(sqlite3.connect(own_home / "remit.db", isolation_level=None)) as db:
        db.execute("UPDATE tasks SET workspace_removed_at = completed_at + 1")
    async with servers.host(own_home) as host:
        assert task_folders(own_home) == []
        assert "workspaceRemovedAt" in await host.call("get_task", id=task["id"])


async def test_a_removed_log_is_said_to_be_gone_and_the_output_is_still_there(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        task = await host.done("$ echo kept")
        later(killed_home, 8)
    async with servers.host(killed_home) as host:
        old = await until_it_says(host, task["id"], "omittedEvents")
        assert (old["events"], old["omittedEvents"], old["result"]) == ([], task["lastEvent"], "kept\n")
        shown = await anyio.to_thread.run_sync(servers.command, killed_home, "show", task["id"], "--events")
        assert f"the first {task['lastEvent']} are not kept any more" in shown.stdout
        await host.call("send_message", id=task["id"], message="$ echo more")
        await host.until(task["id"], "completed")
        new = await host.call("get_task", id=task["id"], include=["events"], afterEvent=task["lastEvent"])
        assert new["events"][0]["number"] == task["lastEvent"] + 1
        assert "omittedEvents" not in new


async def test_a_log_that_is_gone_is_not_followed_for_ever(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        task = await host.done("$ true")
        later(killed_home, 8)
    async with servers.host(killed_home) as host:
        await until_it_says(host, task["id"], "omittedEvents")
        watched = await anyio.to_thread.run_sync(servers.command, killed_home, "watch", task["id"])
        assert watched.returncode == 0


async def test_a_server_killed_in_the_middle_of_a_removal_goes_on_with_it_and_loses_nothing_else(
    own_home: Path,
) -> None:
    async with servers.host(own_home):
        servers.kill(own_home)
    async with open_store(own_home / "remit.db") as store:
        for _ in range(200):
            claim = await claimed(store, LOCAL)
            await store.end_run(claim.run, TurnEnd(Status.COMPLETED))
    age(own_home, 31)
    async with open_store(own_home / "remit.db") as store:
        kept = {(await store.create_task(LOCAL, new_task(auto_execute=False))).id for _ in range(5)}
    ended = {"status": ["completed"], "limit": 1}
    async with servers.host(own_home) as host:
        with anyio.fail_after(servers.PATIENCE):
            while (await host.call("list_tasks", **ended))["total"] == 200:
                pass
        servers.kill(own_home)
    async with servers.host(own_home) as host:
        left = (await host.call("list_tasks", **ended))["total"]
        with anyio.fail_after(servers.PATIENCE):
            while (await host.call("list_tasks", **ended))["total"]:
                pass
        assert {task["id"] for task in (await host.call("list_tasks"))["tasks"]} == kept
    assert 0 < left < 200


async def test_maintenance_does_not_keep_a_server_from_leaving(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_IDLE_EXIT="0.1") as host:
        await host.done("$ true")
        later(own_home, 31)
    async with servers.host(own_home, REMIT_IDLE_EXIT="0.1"):
        (server,) = servers.servers(own_home)
    servers.wait(server)


async def test_the_output_of_a_task_is_bounded_over_all_its_turns(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_TASK_OUTPUT_LIMIT="10000") as host:
        command = "$ head -c 9000 /dev/zero | tr '\\0' x"
        task = await host.until(await host.create(command), "completed", maxChars=100_000)
        assert len(task["output"]["content"]) == 9000
        await host.call("send_message", id=task["id"], message=command)
        task = await host.until(task["id"], "completed", maxChars=100_000)
        assert "4904 characters of output were not kept" in task["output"]["content"]


@pytest.mark.parametrize("value", ["0", "3599", "never", "-1"])
def test_a_time_too_short_to_read_anything_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("REMIT_RETENTION__TASKS", value)
    with pytest.raises(RemitError, match=r"retention\.tasks"):
        load(tmp_path / "none.toml")
