"""Real agents where the sandbox is of the landlock tier: as an ordinary user, since root may not use it."""

import os
from pathlib import Path

import pytest

from server.runner.tiers import landlock
from tests import servers
from tests.agents.acp.real import CLAUDE, OPENCODE, installed
from tests.models.script import Say, steps
from tests.models.server import model

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.npm,
    pytest.mark.skipif(os.geteuid() == 0, reason="Landlock does not hold root"),
    pytest.mark.skipif(landlock.abi() < landlock.NETWORK_ABI, reason="this kernel's Landlock holds no network by name"),
]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "PATIENCE", 180)


async def test_claude_does_what_it_is_permitted(tmp_path: Path) -> None:
    CLAUDE.require()
    with (
        model(steps(CLAUDE.runs("echo made | tee made.txt"), Say("It is made."))) as asked,
        installed(CLAUDE, tmp_path, asked) as home,
    ):
        async with servers.host(home, REMIT_SANDBOX="landlock") as host:
            task = await host.done("make a file", agentId="claude")
    assert (task["status"], task["result"]) == ("completed", "It is made.")
    assert [call["status"] for call in task["output"]["toolCalls"]] == ["success"]


async def test_opencode_says_what_it_would_take(tmp_path: Path) -> None:
    OPENCODE.require()
    with model(steps(Say("Hello."))) as asked, installed(OPENCODE, tmp_path, asked) as home:
        async with servers.host(home, REMIT_SANDBOX="landlock") as host:
            task = await host.done("greet me", agentId="opencode")
    assert (task["status"], task["errorCode"]) == ("failed", "EXECUTION_ERROR")
    assert "it may in the namespaces tier of the sandbox" in task["error"]
