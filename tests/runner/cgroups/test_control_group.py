"""Limits that the kernel holds over a whole tree, where control groups were delegated."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from server.limits import MIB
from server.runner.cgroups import detection
from server.runner.cgroups.control_group import (
    NO_GROUPS,
    ControlGroups,
    Controller,
    DelegatedGroup,
    prefix_of,
    remove_group,
)
from server.runner.cgroups.detection import find_groups
from server.runner.cgroups.hierarchy import end_leftover_groups
from server.runner.detection import find_sandbox
from server.runner.monitoring import monitor
from server.runner.monitoring.usage import gaps
from server.runner.policy import Command, Exit, Limits, SandboxPolicy
from server.runner.sandbox import Sandbox
from tests import servers
from tests.runner.commands import REPOSITORY, surroundings, until

MANY = "for i in $(seq 300); do sleep 1000 & done; wait"
FORK_BOMB = "bomb() { bomb | bomb & }; bomb; sleep 5"
IN_MEMORY = "head -c 200000000 /dev/zero > /dev/shm/file; sleep 5"
IN_THE_KERNEL = """exec python3 -c '
import resource, socket, time
pairs = [socket.socketpair() for _ in range(1000)]
for sender, _ in pairs:
    sender.setblocking(False)
    try:
        while sender.send(bytes(65536)): pass
    except BlockingIOError: pass
time.sleep(5)'"""
UNCOLLECTED = """exec python3 -c '
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    if not os.fork():
        while time.process_time() < 0.1: pass
        os._exit(0)
    try: os.waitpid(-1, 0)
    except ChildProcessError: pass'"""


@pytest.fixture
async def sandbox() -> Sandbox:
    """A sandbox whose control groups enforce every limit, in however many hierarchies."""
    found = Sandbox((await find_sandbox())._tier, find_groups(None))
    if len(found.grouped) < 5:
        pytest.skip(f"the control groups delegated here hold: {', '.join(sorted(found.grouped)) or 'nothing'}")
    return found


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Path]:
    """A folder that groups belong to."""
    yield tmp_path
    end_leftover_groups(tmp_path)


async def shell(sandbox: Sandbox, workspace: Path, script: str, **limits: int) -> Exit:
    async def ignore(_: object) -> None:
        pass

    command = Command(argv=("/bin/sh", "-c", script), env={})
    with anyio.fail_after(20):
        policy = SandboxPolicy(workspace=workspace, limits=Limits(**limits))
        return await sandbox.run(command, policy, started=ignore, output=ignore)


def sleeping() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(("sleep", "1000"))


async def test_processes_are_counted_by_the_kernel_whoever_their_user_is(
    sandbox: Sandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "COUNT_SECONDS", 1000)
    ended = await shell(sandbox, workspace, MANY, processes=100)
    assert ended.limit == "the limit of 100 processes"


async def test_a_fork_bomb_never_has_more_processes_than_it_may(sandbox: Sandbox, workspace: Path) -> None:
    before = len([name for name in os.listdir("/proc") if name.isdigit()])
    most = 0

    async def count() -> None:
        nonlocal most
        while True:
            most = max(most, len([name for name in os.listdir("/proc") if name.isdigit()]))
            await anyio.sleep(0.005)

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        ended = await shell(sandbox, workspace, FORK_BOMB, processes=100)
        group.cancel_scope.cancel()
    assert ended.limit == "the limit of 100 processes"
    assert most < before + 1000  # what others start meanwhile included; by looking it is 13,000


@pytest.mark.namespaces
async def test_files_in_memory_count_as_memory(sandbox: Sandbox, workspace: Path) -> None:
    ended = await shell(sandbox, workspace, IN_MEMORY, memory_bytes=100 * MIB)
    assert ended.limit == "the memory limit of 100 MiB"


async def test_what_the_kernel_holds_for_a_command_counts_as_memory(sandbox: Sandbox, workspace: Path) -> None:
    ended = await shell(sandbox, workspace, IN_THE_KERNEL, memory_bytes=100 * MIB)
    assert ended.limit == "the memory limit of 100 MiB"


async def test_without_a_group_what_the_kernel_holds_escapes(sandbox: Sandbox, workspace: Path) -> None:
    script = IN_THE_KERNEL.replace("sleep(5)", "sleep(1.5)")
    ended = await shell(Sandbox(sandbox._tier), workspace, script, memory_bytes=100 * MIB)
    assert (ended.status, ended.limit) == (0, None)


async def test_the_time_of_children_that_nobody_collects_counts(sandbox: Sandbox, workspace: Path) -> None:
    ended = await shell(sandbox, workspace, UNCOLLECTED.format(seconds=15), cpu_seconds=1)
    assert ended.limit == "the processor time limit of 1 s"


async def test_without_a_group_the_time_of_such_children_escapes(sandbox: Sandbox, workspace: Path) -> None:
    ended = await shell(Sandbox(sandbox._tier), workspace, UNCOLLECTED.format(seconds=4), cpu_seconds=1)
    assert (ended.status, ended.limit) == (0, None)


async def test_a_group_goes_with_its_command(sandbox: Sandbox, workspace: Path) -> None:
    groups = sandbox._groups
    await shell(sandbox, workspace, "true")
    assert not [left for each in groups.delegations for left in each.folder.glob(f"{groups.prefix}*")]


async def test_what_runs_in_a_group_of_a_dead_server_is_ended_at_the_next_start(sandbox: Sandbox, owner: Path) -> None:
    groups = find_groups(owner)
    group, others = groups.make(Limits()), sandbox._groups.make(Limits())
    assert group
    assert others
    with sleeping() as daemon, sleeping() as bystander:
        group.add(daemon.pid)
        others.add(bystander.pid)
        assert await anyio.to_thread.run_sync(end_leftover_groups, owner) == len(groups.delegations)
        await until(lambda: daemon.poll() is not None)
        assert bystander.poll() is None
        bystander.kill()
    await anyio.to_thread.run_sync(others.remove)
    assert not [left for each in groups.delegations for left in each.folder.glob(f"{groups.prefix}*")]


async def test_a_server_ends_what_runs_in_groups_of_its_predecessor(sandbox: Sandbox, tmp_path: Path) -> None:
    with servers.home(tmp_path) as home:
        group = find_groups(home / "scratch").make(Limits())
        assert group
        with sleeping() as daemon:
            group.add(daemon.pid)
            async with servers.host(home):
                assert daemon.poll() is not None


TRY_TO_SHARE_OUT = """
import sys
from pathlib import Path
from server.runner.cgroups.hierarchy import _enable
folder = Path(sys.argv[1])
(folder / "cgroup.procs").write_text("0")
try:
    _enable(folder, {"no-such-controller"})
except OSError:
    of_version_2 = [line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
    print(*[path.name for path in folder.iterdir() if path.is_dir()], of_version_2[0].removeprefix("0::"))
"""


def test_a_server_that_cannot_share_out_goes_back_to_where_it_was() -> None:
    second = [each.folder for each in find_groups(None).delegations if (each.folder / "cgroup.controllers").exists()]
    if not second:
        pytest.skip("there are no groups of version 2 here")
    group = second[0] / f"{prefix_of(None)}test"
    group.mkdir()
    command = (sys.executable, "-c", TRY_TO_SHARE_OUT, str(group))
    done = subprocess.run(command, cwd=REPOSITORY, env=surroundings(), capture_output=True, text=True, check=True)
    remove_group(group)
    assert done.stdout.split() == [str(Path("/", group.relative_to(second[0])))]


def test_groups_that_hold_nothing_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    controllers = (Controller(feature="memory", hits=("events", "oom_kill")), Controller(feature="end"))
    monkeypatch.setattr(detection, "candidates", lambda: iter([DelegatedGroup(tmp_path, controllers)]))
    found = find_groups(None)
    assert (found.delegations, found.features) == ((), frozenset())


def test_where_none_were_delegated_there_are_none_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "candidates", lambda: iter([]))
    found = find_groups(None)
    assert (found.delegations, found.make(Limits())) == ((), None)
    assert any("No control group was delegated" in gap for gap in gaps(found.features))


def test_what_groups_hold_is_no_gap() -> None:
    held = ControlGroups((), frozenset({"processes", "memory", "kernel memory", "processor time", "end"}), "")
    assert not [gap for gap in gaps(held.features) if "socket buffers" in gap or "by looking" in gap]
    assert [gap for gap in gaps(NO_GROUPS.features) if "socket buffers" in gap]


def test_commands_enter_one_hierarchy_the_one_that_counts_processes(tmp_path: Path) -> None:
    ends = DelegatedGroup(tmp_path / "a", (Controller(feature="end"), Controller(feature="processor time")))
    counts = DelegatedGroup(tmp_path / "b", (Controller(feature="processes"),))
    chosen = ControlGroups((ends, counts), ends.features | counts.features, "remit-").in_one_hierarchy()
    assert (chosen.delegations, chosen.features) == ((counts,), frozenset({"processes"}))
