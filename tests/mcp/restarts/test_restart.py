"""State that survives the end of a window, or of the server."""

import os
import signal
from pathlib import Path

import anyio
import pytest

from server.runner import process_tree
from storage.records.tasks import Principal
from storage.sqlite.store import open_store
from tests import servers
from tests.storage.samples import new_task


@pytest.mark.behaviour("events:disconnect")
async def test_a_task_outlives_the_window_that_asked_for_it(shared_home: Path) -> None:
    async with servers.host(shared_home) as host:
        task_id = await host.create("$ sleep 1; echo finished")
    async with servers.host(shared_home) as host:
        assert (await host.until(task_id, "completed"))["output"]["content"] == "finished\n"


async def test_every_acknowledged_task_is_there_after_a_kill(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        ids = {await host.create(f"$ echo {number}", autoExecute=number % 2 == 0) for number in range(20)}
        servers.kill(killed_home)
    async with servers.host(killed_home) as host:
        assert ids <= {task["id"] for task in (await host.call("list_tasks", limit=100))["tasks"]}


async def test_words_that_an_earlier_version_let_in_fail_with_the_reason(killed_home: Path) -> None:
    async with servers.host(killed_home):
        servers.kill(killed_home)
    async with open_store(killed_home / "remit.db") as store:
        task_id = (await store.create_task(Principal("local", "user"), new_task(message="tidy up the folder"))).id
    async with servers.host(killed_home) as host:
        task = await host.until(task_id, "completed", "failed")
    assert (task["status"], task["errorCode"]) == ("failed", "VALIDATION_ERROR")
    assert "holds no command" in task["error"]


async def test_a_call_that_waited_can_be_approved_after_a_kill_and_runs_once(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        task_id, call_id = await host.waiting("$ echo x >> log\n$ cat log")
        servers.kill(killed_home)
    async with servers.host(killed_home) as host:
        assert (await host.waiting_call(task_id)) == call_id
        await host.decide(task_id, call_id, "proceed_always")
        await host.decide(task_id, await host.waiting_call(task_id), "proceed_once")
        assert (await host.until(task_id, "completed"))["output"]["content"] == "x\n"


async def test_a_command_cut_off_by_a_kill_is_reported_and_not_repeated(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        task_id = await host.create("$ echo x >> log\n$ echo half; sleep 60\n$ echo never")
        await host.said(task_id, "half\n")
        servers.kill(killed_home)
    async with servers.host(killed_home) as host:
        task = await host.call("get_task", id=task_id)
        assert (task["status"], task["errorCode"]) == ("failed", "INTERRUPTED")
        assert [call["status"] for call in task["output"]["toolCalls"]] == ["success", "error", "cancelled"]
        assert task["output"]["content"] == "half\n"
        await host.call("send_message", id=task_id, message="$ cat log")
        assert (await host.until(task_id, "completed"))["output"]["content"] == "x\n"


async def test_what_commands_of_a_killed_server_had_on_disk_is_removed_at_the_next_start(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_SANDBOX="off") as host:
        task_id = await host.create("$ echo $PPID; exec sleep 60")
        with anyio.fail_after(servers.PATIENCE):
            while not (said := (await host.call("get_task", id=task_id)).get("output", {}).get("content")):
                await host.call("get_task", id=task_id, waitSeconds=1, afterEvent=10_000)
        supervisors = [int(process_tree.stat(int(said))[1]), int(said)]  # which would clear away
        for supervisor in supervisors:
            os.kill(supervisor, signal.SIGSTOP)
        servers.kill(own_home)
        for supervisor in supervisors:
            servers.end(supervisor, signal.SIGKILL)
    assert len(os.listdir(own_home / "scratch")) == 1
    async with servers.host(own_home, REMIT_SANDBOX="off"):
        assert os.listdir(own_home / "scratch") == []


async def test_a_stopped_server_ends_its_tasks_and_says_so(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        task_id = await host.create("$ echo half; sleep 60")
        await host.call("get_task", id=task_id, waitSeconds=20, include=["events"], afterEvent=3)
        (server,) = servers.servers(killed_home)
        servers.end(server, signal.SIGTERM)
    async with servers.host(killed_home) as host:
        task = await host.call("get_task", id=task_id)
        assert (task["status"], task["errorCode"]) == ("failed", "INTERRUPTED")


async def test_folders_of_no_task_are_removed_at_the_start(killed_home: Path) -> None:
    orphan = killed_home / "workspaces" / "left-behind"
    async with servers.host(killed_home):
        servers.kill(killed_home)
    orphan.mkdir()
    async with servers.host(killed_home):
        assert not orphan.exists()
