"""The end is the end: whatever ends a command, nothing of it is left."""

import json
import os
import signal
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from server.runner.process import ProcessMark, end_leftover
from server.runner.process_tree import END_SECONDS
from server.tier_names import TierName
from tests.runner.commands import (
    REPOSITORY,
    Request,
    elsewhere,
    perform,
    processes_with,
    run,
    sandbox_of,
    surroundings,
    until,
)

# Two daemons that only SIGKILL ends and that hold none of the test's pipes, one of them forked twice; `sleep` cannot be
# told by its number alone, so its name is TOKEN.
DAEMONS = """
ln -s /bin/sleep TOKEN
trap '' TERM HUP INT
(setsid sh -c "trap '' TERM HUP INT; touch up1; exec ./TOKEN 1000" </dev/null >/dev/null 2>&1 &)
setsid sh -c "(trap '' TERM HUP INT; touch up2; exec ./TOKEN 1001) </dev/null >/dev/null 2>&1 &"
"""


def daemons(tier: TierName, workspace: Path, then: str) -> tuple[str, Request]:
    """Return a command that leaves daemons and goes on with `then`, and the text that shows in their command lines."""
    token = f"daemon-{uuid.uuid4()}"
    script = DAEMONS.replace("TOKEN", token) + then
    return token, Request(tier=tier, argv=("/bin/sh", "-c", script), workspace=str(workspace))


def running(token: str) -> list[int]:
    return processes_with(f"./{token}\x00100")


async def ignore(_: bytes) -> None:
    pass


async def test_what_a_command_leaves_behind_ends_with_it(tier: TierName, workspace: Path) -> None:
    token, request = daemons(tier, workspace, "until [ -e up1 ] && [ -e up2 ]; do sleep 0.01; done; exit 3")
    assert (await run(request)).status == 3
    assert not running(token)


@pytest.mark.parametrize("tier", ["landlock", "off"], indirect=True)
@pytest.mark.parametrize("killed", [0, 1], ids=["outer", "inner"])
async def test_what_a_command_has_started_ends_when_somebody_kills_its_supervisor(
    tier: TierName, workspace: Path, killed: int
) -> None:
    token, request = daemons(tier, workspace, "exec sleep 1000")
    with server(request) as process:
        await until(lambda: len(running(token)) == 2)
        supervisors = sorted(processes_with(f"supervisor.py\0{workspace.with_name('scratch')}"))
        os.kill(supervisors[killed], signal.SIGKILL)
        await until(lambda: not running(token), END_SECONDS)
        assert process.poll() is None or process.returncode == 0
    assert len(supervisors) == 2


@pytest.mark.parametrize("tier", ["namespaces", "off"])
async def test_cancelling_ends_the_whole_tree_before_it_returns(tier: TierName, workspace: Path) -> None:
    token, request = daemons(tier, workspace, "sleep 1000")
    async with anyio.create_task_group() as group:
        group.start_soon(perform, request, ignore)
        await until(lambda: len(running(token)) == 2)
        cancelled = anyio.current_time()
        group.cancel_scope.cancel()
    assert not running(token)
    assert anyio.current_time() - cancelled < END_SECONDS


@pytest.mark.namespaces
@pytest.mark.parametrize("seconds", [0, 0.002, 0.01, 0.02])
async def test_cancelling_before_it_has_begun_leaves_nothing(seconds: float, workspace: Path) -> None:
    token, request = daemons("namespaces", workspace, "sleep 1000")
    with anyio.move_on_after(seconds):
        await perform(request, ignore)
    assert not running(token)
    assert not processes_with(str(workspace))


async def test_nothing_survives_the_servers_kill(tier: TierName, workspace: Path) -> None:
    token, request = daemons(tier, workspace, "echo up; sleep 1000")
    with server(request) as process:
        assert process.stdout
        await until(lambda: len(running(token)) == 2)
        process.kill()
        await until(lambda: not running(token) and not processes_with(str(workspace)), END_SECONDS)


@pytest.mark.parametrize("tier", ["landlock", "off"], indirect=True)
async def test_what_a_command_had_to_itself_does_not_survive_the_servers_kill(tier: TierName, workspace: Path) -> None:
    token, request = daemons(tier, workspace, 'touch "$HOME/kept"; echo "$HOME"; sleep 1000')
    with server(request) as process:
        assert process.stdout
        home = Path()
        while not home.name:
            line = await anyio.to_thread.run_sync(process.stdout.readline)
            home = Path(json.loads(line).get("output", "").strip())
        assert (home / "kept").exists()
        process.kill()
        await until(lambda: not home.parent.exists(), END_SECONDS)
    await until(lambda: not running(token))


@pytest.mark.parametrize("milliseconds", [0, 1, 2, 3, 4, 6, 8, 12, 16])
async def test_nothing_is_left_of_a_command_whose_server_was_killed_in_its_start(
    milliseconds: int, workspace: Path
) -> None:
    token, request = daemons("namespaces", workspace, "sleep 1000")
    with server(request) as process:
        assert process.stdout
        await anyio.to_thread.run_sync(process.stdout.readline)  # it is about to begin
        await anyio.sleep(milliseconds / 1000)
        process.kill()
    await until(lambda: not running(token) and not processes_with(str(workspace)), END_SECONDS)


def server(request: Request) -> subprocess.Popen[bytes]:
    """Return a process that runs the command as its tier's user, and leaves its traces beside the workspace."""
    traced = replace(request, scratch=str(Path(request.workspace).with_name("scratch")))
    command = elsewhere(traced, unprivileged=request.tier == "landlock")
    return subprocess.Popen(command, cwd=REPOSITORY, env=surroundings(), stdout=subprocess.PIPE)


@pytest.mark.namespaces
async def test_an_output_that_nobody_takes_does_not_delay_the_end(workspace: Path) -> None:
    async def never(_: bytes) -> None:
        await anyio.sleep_forever()

    request = Request(tier="namespaces", argv=("/usr/bin/yes",), workspace=str(workspace))
    with anyio.fail_after(END_SECONDS), anyio.move_on_after(0.5):
        await perform(request, never)


@pytest.mark.namespaces
async def test_a_failing_reader_ends_the_command(workspace: Path) -> None:
    async def fail(_: bytes) -> None:
        raise ValueError("no room")

    token, request = daemons("namespaces", workspace, "echo; sleep 1000")
    with pytest.raises(ValueError, match="no room"):
        await perform(request, fail)
    assert not running(token)


async def test_a_command_that_closes_its_output_is_waited_for(tier: TierName, workspace: Path) -> None:
    request = Request(
        tier=tier,
        argv=("/bin/sh", "-c", "exec >&- 2>&-; sleep 0.3; touch done; exit 4"),
        workspace=str(workspace),
    )
    assert (await run(request)).status == 4
    assert (workspace / "done").exists()


@pytest.mark.namespaces
async def test_the_namespaces_of_a_killed_bwrap_end_too(workspace: Path) -> None:
    token, request = daemons("namespaces", workspace, "sleep 1000")
    async with anyio.create_task_group() as group:
        group.start_soon(perform, request, ignore)
        await until(lambda: len(running(token)) == 2)
        outermost = min(processes_with(f"--bind\x00{workspace}"))
        os.kill(outermost, signal.SIGKILL)
    assert not running(token)


@pytest.mark.parametrize("tier", ["namespaces", "off"])
async def test_a_leftover_is_known_by_its_mark_and_ended_with_its_tree(tier: TierName, workspace: Path) -> None:
    token, request = daemons(tier, workspace, "sleep 1000")
    marks: list[ProcessMark] = []

    async def started(mark: ProcessMark) -> None:
        marks.append(mark)

    sandbox = await sandbox_of(tier)
    async with anyio.create_task_group() as group:

        async def attend() -> None:
            await sandbox.run(request.command(), request.policy(), started=started, output=ignore)

        group.start_soon(attend)
        await until(lambda: len(running(token)) == 2)
        assert await anyio.to_thread.run_sync(end_leftover, marks[0])
        assert not running(token)
    assert not end_leftover(marks[0])
