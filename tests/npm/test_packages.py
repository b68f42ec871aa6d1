"""Installed npm packages are the pinned ones, and a test that needs a missing one fails."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.npm.packages import CLAUDE_AGENT, CLAUDE_CODE, INSPECTOR, NODE, OPENCODE, PACKAGES, require

PINNED = json.loads(Path(__file__).with_name("package.json").read_text())


def version(*argv: Path | str) -> str:
    """Return the version that a program prints."""
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.mark.npm
@pytest.mark.parametrize(
    ("argv", "package"),
    [
        pytest.param([OPENCODE], "opencode-linux-x64-baseline", id="OpenCode"),
        pytest.param([NODE, CLAUDE_AGENT], "@agentclientprotocol/claude-agent-acp", id="the Claude agent"),
        pytest.param([CLAUDE_CODE], f"@anthropic-ai/{CLAUDE_CODE.parent.name}", id="Claude Code"),
        pytest.param([NODE], NODE.parents[1].name, id="node"),
        pytest.param([NODE, INSPECTOR, "--cli"], "@modelcontextprotocol/inspector", id="the inspector"),
    ],
)
def test_a_program_is_the_one_that_is_pinned(
    argv: list[Path | str], package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(*(path for path in argv if isinstance(path, Path)))
    monkeypatch.setenv("HOME", str(tmp_path))
    pinned = {**PINNED["dependencies"], **PINNED["optionalDependencies"]}[package]
    assert pinned in version(*argv, "--version")


def test_the_lock_names_no_registry() -> None:
    lock = json.loads(Path(__file__).with_name("package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []


def test_a_missing_package_fails_a_test() -> None:
    with pytest.raises(pytest.fail.Exception, match="not installed: nowhere; `make packages`"):
        require(PACKAGES / "nowhere")
