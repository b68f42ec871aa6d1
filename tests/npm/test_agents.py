"""The agents that npm brought are there, whole, and can be run."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.npm.agents import CLAUDE, NODE, OPENCODE, PACKAGES, REQUIRED, require_claude, require_opencode

PINNED = json.loads(Path(__file__).with_name("package.json").read_text())


def version(*argv: Path | str) -> str:
    """What a program says that it is."""
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_opencode_is_the_one_that_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_opencode()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert version(OPENCODE, "--version") == PINNED["optionalDependencies"]["opencode-linux-x64-baseline"]


def test_the_claude_agent_is_the_one_that_is_pinned() -> None:
    require_claude()
    assert version(NODE, CLAUDE, "--version").endswith(PINNED["dependencies"]["@agentclientprotocol/claude-agent-acp"])


def test_the_lock_names_no_registry() -> None:
    lock = json.loads(Path(__file__).with_name("package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []


def test_a_missing_agent_skips_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    monkeypatch.setattr("tests.npm.agents.OPENCODE", PACKAGES / "nowhere")
    with pytest.raises(pytest.skip.Exception, match="make agents"):
        require_opencode()


def test_a_missing_agent_fails_a_test_where_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "required")
    monkeypatch.setattr("tests.npm.agents.OPENCODE", PACKAGES / "nowhere")
    with pytest.raises(pytest.fail.Exception, match="not installed: nowhere"):
        require_opencode()
