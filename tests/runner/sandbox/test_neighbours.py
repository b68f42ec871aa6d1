"""Effects of a command on other processes, without touching their files."""

from pathlib import Path

import pytest

from server.tier_names import TierName
from tests.runner.commands import run
from tests.runner.sandbox.test_commands import shell

LEASE = "import fcntl, signal; fcntl.fcntl(open('f', 'w'), 1024, 1)"
SEGMENT = "import ctypes, sys; sys.exit(ctypes.CDLL(None).shmget(0, 4096, 0o1600) < 0)"
DATAGRAMS = "import socket; socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)"
WATCH = "import ctypes, sys; sys.exit(ctypes.CDLL(None).inotify_init1(0) < 0)"
AFFINITY = "import os; os.sched_setaffinity(os.getppid(), {0})"


@pytest.mark.parametrize("script", [LEASE, DATAGRAMS, WATCH])
async def test_it_can_be_done_without_a_sandbox(workspace: Path, script: str) -> None:
    assert (await run(shell("off", workspace, f'python3 -c "{script}"'))).status == 0


@pytest.mark.parametrize("script", [LEASE, SEGMENT])
async def test_no_tier_lets_a_command_hold_up_others_or_hide_its_memory(
    confining: TierName, workspace: Path, script: str
) -> None:
    assert (await run(shell(confining, workspace, f'python3 -c "{script}"'))).status != 0


@pytest.mark.parametrize("script", [DATAGRAMS, WATCH, AFFINITY])
async def test_where_others_are_in_sight_they_are_out_of_reach(workspace: Path, script: str) -> None:
    assert (await run(shell("landlock", workspace, f'python3 -c "{script}"'))).status != 0
