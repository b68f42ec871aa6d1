"""The restore drill: a backup under load, everything deleted, restored, and all that was acknowledged is looked for."""

import json
import shutil
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from tests import servers
from tests.servers import Host

BEFORE = 30
"""Tasks that are acknowledged before the backup begins; creating goes on until it is written."""


class Load:
    """Creates tasks, one after the other, and keeps the ids of those that were acknowledged, with their contents."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.acknowledged: dict[str, str] = {}
        self.stop = anyio.Event()

    async def run(self) -> None:
        while not self.stop.is_set():
            content = f"file {len(self.acknowledged)}"
            files = [{"path": "file", "content": content}]
            task_id = await self._host.create("$ cat uploads/file | tee made", files=files)
            self.acknowledged[task_id] = content

    async def until(self, count: int) -> None:
        with anyio.fail_after(servers.PATIENCE):
            while len(self.acknowledged) < count:
                await self._host.call("list_tasks")


async def under_load(home: Path, file: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Back up while tasks are created; those that were acknowledged before it began, and those after."""
    async with servers.host(home) as host, anyio.create_task_group() as group:
        load = Load(host)
        group.start_soon(load.run)
        await load.until(BEFORE)
        before = dict(load.acknowledged)
        done = await to_thread.run_sync(servers.command, home, "backup", str(file), "--folders", "--json")
        assert done.returncode == 0, done.stderr
        await load.until(len(load.acknowledged) + 1)
        load.stop.set()
    return before, {task_id: load.acknowledged[task_id] for task_id in load.acknowledged.keys() - before.keys()}


async def found(host: Host, task_id: str) -> dict[str, Any] | None:
    result = await host.client.call_tool("get_task", {"id": task_id})
    return None if result.is_error else result.structured_content


async def test_all_that_was_acknowledged_before_a_backup_is_there_after_everything_was_deleted(
    tmp_path: Path, medium: Path
) -> None:
    with servers.home(tmp_path) as home:
        before, after = await under_load(home, medium / "drill.tar.gz")
        servers.kill(home)
        await to_thread.run_sync(shutil.rmtree, home)
        done = await to_thread.run_sync(servers.command, home, "restore", str(medium / "drill.tar.gz"), "--json")
        told = json.loads(done.stdout)
        async with servers.host(home) as host:
            assert [task_id for task_id in before if not await found(host, task_id)] == []
            there = {**before, **{task_id: content for task_id, content in after.items() if await found(host, task_id)}}
            assert (told["tasks"], set(told["withoutFolderTaskIds"]) & before.keys()) == (len(there), set())
            paths = {task_id: home / "workspaces" / task_id / "uploads" / "file" for task_id in before}
            assert {task_id: path.read_text() for task_id, path in paths.items()} == before
            for task_id in told["withoutFolderTaskIds"]:
                assert "the task's folder is gone" in str(await found(host, task_id))
            for task_id in told["pausedTaskIds"]:
                await host.call("send_message", id=task_id)
            for task_id in before.keys() - set(told["interruptedTaskIds"]):
                assert (await host.until(task_id, "completed"))["result"] == before[task_id]
