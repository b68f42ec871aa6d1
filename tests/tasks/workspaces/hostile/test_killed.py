"""Traps for the person's git, left by a command whose server is killed: the next server looks for them first."""

from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.runner.commands import until
from tests.servers import Host, script
from tests.tasks.workspaces.projects import git, names, repository, shell

pytestmark = pytest.mark.namespaces

PLANT = "git init -q sub; git -C sub config core.fsmonitor 'touch {mark}; false'; touch {ready}; exec sleep 1000"


@pytest.fixture
def folder(place: Path) -> Path:
    """A repository with settings of the person's in one that lies in it."""
    folder = repository(place / "project")
    git(folder, "init", "-q", "theirs")
    git(folder / "theirs", "config", "core.sshCommand", "ssh -i key")
    return folder


async def planting(host: Host, folder: Path, name: str = "ready", **arguments: Any) -> str:
    """Return a task that has left a trap and goes on."""
    lines = PLANT.replace("{mark}", str(folder.parent / "mark")).replace("{ready}", name)
    workspace = {"path": str(folder), "mode": "readwrite"}
    task_id = await host.create(script(lines), workspace=workspace, **arguments)
    await until(lambda: (folder / name).exists())
    return task_id


async def after_a_kill(
    killed_home: Path, folder: Path, variables: dict[str, str], **arguments: Any
) -> tuple[dict[str, Any], list[str]]:
    """Return a task whose server was killed, as the next server shows it, with what it has logged."""
    async with servers.host(killed_home, cwd=folder.parent, **variables) as host:
        task_id = await planting(host, folder, **arguments)
        servers.kill(killed_home)
    async with servers.host(killed_home, cwd=folder.parent, **variables) as host:
        task = await host.call("get_task", id=task_id, include=["events"])
        return task, [event["data"].get("message", "") for event in task["events"] if event["type"] == "error"]


async def test_it_is_set_aside_before_anything_else_happens(
    killed_home: Path, folder: Path, variables: dict[str, str]
) -> None:
    task, told = await after_a_kill(killed_home, folder, variables)
    assert (task["status"], task["errorCode"]) == ("failed", "INTERRUPTED")
    assert "sub/.git/config was set aside" in task["workspace"]["problem"]
    assert any("sub/.git/config was set aside" in each for each in told)
    shell(folder / "sub", "git status")
    assert not (folder.parent / "mark").exists()


async def test_what_was_the_persons_before_stays(killed_home: Path, folder: Path, variables: dict[str, str]) -> None:
    await after_a_kill(killed_home, folder, variables)
    assert git(folder / "theirs", "config", "core.sshCommand") == "ssh -i key\n"
    assert names(folder, ".envrc") == set(), "a stand-in was left"
    assert names(killed_home / "scratch") == set()


async def test_no_name_is_told_that_may_hold_a_secret(
    killed_home: Path, folder: Path, variables: dict[str, str]
) -> None:
    task, told = await after_a_kill(killed_home, folder, variables, secrets={"KEY": "sk-0123456789abcdef"})
    assert "sub" not in task["workspace"]["problem"]
    assert "its name is not shown" in task["workspace"]["problem"]
    assert not any("sub/" in each for each in told)


async def test_each_task_that_was_at_work_there_is_told(
    killed_home: Path, folder: Path, variables: dict[str, str]
) -> None:
    workspace = {"path": str(folder), "mode": "readwrite", "shared": True}
    async with servers.host(killed_home, cwd=folder.parent, **variables) as host:
        ids = [await host.create(script(f"touch up{i}; exec sleep 1000"), workspace=workspace) for i in (1, 2)]
        await until(lambda: (folder / "up1").exists() and (folder / "up2").exists())
        shell(folder, "git init -q sub; git -C sub config core.fsmonitor x")
        servers.kill(killed_home)
    async with servers.host(killed_home, cwd=folder.parent, **variables) as host:
        for task_id in ids:
            problem = (await host.call("get_task", id=task_id))["workspace"]["problem"]
            assert "sub/.git/config was set aside" in problem
