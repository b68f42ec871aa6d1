"""A task that is cancelled, or whose server stops, while its commits are looked at and carried over."""

import signal
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from server.runner.process_tree import descendants
from tests import servers
from tests.runner.commands import processes_with, until
from tests.servers import Host
from tests.tasks.workspaces.projects import git, tip

SECONDS = 5
"""That the end of a task may take."""

FIFO = "rm -f {0}; mkfifo {0}"
HANGING = {
    "look": "$ echo x > x && git add x && git commit -qm x && rm .git/index && mkfifo .git/index",
    "pack": """```sh
echo x > x && git add x && git commit -qm x
blob=$(git rev-parse HEAD:x)
object=.git/objects/$(echo $blob | cut -c 1-2)/$(echo $blob | cut -c 3-)
rm -f $object && mkfifo $object
```""",
}
"""What a task does to have a look at its worktree, or the packing of its commits, never end."""


def whole(project: Path) -> None:
    """Check that nothing half-done is in the person's repository."""
    git(project, "fsck", "--strict")
    left = [path.name for path in (project / ".git").rglob("*") if "tmp_" in path.name or path.suffix == ".lock"]
    assert left == []


async def hanging(host: Host, project: Path, phase: str) -> str:
    """Return a task that has done its work, and is being looked at, or packed, without an end."""
    base = tip(project, "main")
    words = ("pack-objects", f"^{base}") if phase == "pack" else ("ls-files", base)
    (server,) = servers.servers(host.home)
    task_id = await host.create(HANGING[phase], workspace={"path": "project"}, allowHooks=True)
    await until(lambda: _is_at_work(server, *words))
    return task_id


def _is_at_work(server: int, *words: str) -> bool:
    """Return whether a process of the server says these words: those of a test elsewhere may say the same.

    Repositories that were made within the same second have the same commit.
    """
    saying = set.intersection(*(set(processes_with(word)) for word in words))
    return not saying.isdisjoint(descendants(server))


@pytest.mark.namespaces
@pytest.mark.parametrize("phase", HANGING)
async def test_it_is_cancelled_within_five_seconds(host: Host, project: Path, phase: str) -> None:
    task_id = await hanging(host, project, phase)
    with anyio.fail_after(SECONDS):
        assert (await host.call("cancel_task", id=task_id))["status"] == "cancelled"
    workspace = (await host.call("get_task", id=task_id))["workspace"]
    assert "cancelled before all its commits were carried over" in workspace["problem"]
    assert tip(project, workspace["branch"]) == tip(project, "main")
    whole(project)


@pytest.mark.namespaces
async def test_the_server_stops_within_five_seconds(
    killed_home: Path, project: Path, variables: dict[str, Any]
) -> None:
    async with servers.host(killed_home, cwd=project.parent, **variables) as host:
        await hanging(host, project, "pack")
        (server,) = servers.servers(killed_home)
        with anyio.fail_after(SECONDS):
            await to_thread.run_sync(servers.end, server, signal.SIGTERM)
        whole(project)


@pytest.mark.namespaces
async def test_what_was_cut_off_is_carried_over_when_the_server_starts_again(
    killed_home: Path, project: Path, variables: dict[str, Any]
) -> None:
    async with servers.host(killed_home, cwd=project.parent, **variables) as host:
        task_id = await hanging(host, project, "pack")
        await host.call("cancel_task", id=task_id)
        folder = Path((await host.call("get_task", id=task_id))["workspace"]["folder"])
        (fifo,) = [path for path in (folder / ".git/objects").rglob("*") if path.is_fifo()]
        fifo.unlink()
        git(folder, "hash-object", "-w", "x")
        servers.kill(killed_home)
    async with servers.host(killed_home, cwd=project.parent, **variables) as host:
        with anyio.fail_after(servers.PATIENCE):
            while "problem" in (task := await host.call("get_task", id=task_id))["workspace"]:
                pass
        assert tip(project, task["workspace"]["branch"]) == task["workspace"]["headCommit"] != tip(project, "main")
