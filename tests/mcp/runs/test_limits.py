"""Limits end a task with a reason that a person understands, and nothing of it is left."""

from pathlib import Path

import pytest

from tests import servers
from tests.servers import Host, script

LIMITS = {
    "memory": (
        "for i in 1 2 3; do python3 -c 'x = b\"x\" * 40_000_000; import time; time.sleep(60)' & done; wait",
        {"memoryMb": 64},
        "memory",
    ),
    "processor time": ("while :; do :; done", {"cpuSeconds": 1}, "processor time"),
    "file size": ("head -c 10000000 /dev/zero > big", {"fileMb": 1}, "file size"),
    "workspace": (
        "for i in $(seq 9); do head -c 900000 /dev/zero > $i; done; sleep 60",
        {"workspaceMb": 2},
        "workspace",
    ),
}


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_limit_ends_the_task_and_is_named(host: Host, limit: str) -> None:
    command, limits, words = LIMITS[limit]
    task = await host.done(script(command), limits=limits)
    assert (task["status"], task["errorCode"]) == ("failed", "LIMIT_EXCEEDED")
    assert words in task["error"]


async def test_too_many_processes_are_refused_by_the_kernel_or_end_the_task(host: Host) -> None:
    """Which of the two comes first is the kernel's to say: it does not count the processes of root."""
    task = await host.done("$ for i in $(seq 40); do sleep 60 & done; wait", limits={"processes": 16})
    assert task["status"] == "failed"
    assert "the limit of 16 processes" in task["error"] or "fork" in task["error"]


@pytest.mark.namespaces
async def test_a_private_folder_does_not_grow_beyond_its_limit(host: Host) -> None:
    task = await host.done("$ head -c 10000000 /dev/zero > /tmp/big; stat -c %s /tmp/big", limits={"tmpMb": 1})
    assert 0 < int(task["output"]["content"].splitlines()[-1]) <= 2**20


async def test_endless_output_is_bounded_while_others_are_served(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_OUTPUT_LIMIT="4096") as host:
        task_id = await host.create("$ head -c 300000000 /dev/zero | tr '\\0' x")
        other = await host.done("$ echo meanwhile")
        assert other["output"]["content"] == "meanwhile\n"
        task = await host.until(task_id, "completed")
        assert len(task["output"]["content"]) < 5000
        assert "were not kept" in task["output"]["content"]


async def test_a_host_that_is_not_allowed_is_refused_and_told(own_home: Path) -> None:
    (own_home.parent / "remit.toml").write_text('[agents.shell]\nnetwork = ["allowed.example"]\n')
    async with servers.host(own_home) as host:
        script = "import urllib.request; urllib.request.urlopen('http://elsewhere.example/')"
        task = await host.done(f'$ python3 -c "{script}"; true')
        events = await host.call("get_task", id=task["id"], include=["events"])
        (refusal,) = [event["data"] for event in events["events"] if event["type"] == "error"]
        assert refusal["code"] == "FORBIDDEN"
        assert "elsewhere.example:80" in refusal["message"]
        task = await host.done(f'$ python3 -c "{script}"; true', require={"network": "none"})
        events = await host.call("get_task", id=task["id"], include=["events"])
        assert not [event for event in events["events"] if event["type"] == "error"]
