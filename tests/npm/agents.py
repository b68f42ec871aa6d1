"""Where the agents are, once `make agents` has brought them, and what becomes of a test where they are not."""

import os
import platform
from pathlib import Path

import pytest

PACKAGES = Path(__file__).with_name("node_modules")
"""All of it is only ever read."""

REQUIRED = "REAL_AGENTS"
"""The variable that says `required` where a test must not be skipped for want of an agent."""

_MACHINE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())

NODE = PACKAGES / f"node-linux-{_MACHINE}/bin/node"
"""Of the version that the Claude agent asks for, whatever the machine itself has."""

OPENCODE = PACKAGES / "opencode-linux-x64-baseline/bin/opencode"
"""The build that takes no newer processor than any x86_64; at this version there is none for another machine."""

CLAUDE = PACKAGES / "@agentclientprotocol/claude-agent-acp/dist/index.js"
"""A script for node; Claude Code itself is a program that it finds beside it."""

_CLAUDE_CODE = PACKAGES / f"@anthropic-ai/claude-agent-sdk-linux-{_MACHINE}/claude"


def missing(*programs: Path) -> str | None:
    """Why these cannot be run; None if they can."""
    absent = [str(program.relative_to(PACKAGES)) for program in programs if not program.exists()]
    return f"not installed: {', '.join(absent)}; `make agents` brings them, with npm" if absent else None


def require_opencode() -> None:
    """Skip the test where OpenCode is not installed, or fail it."""
    _require(OPENCODE)


def require_claude() -> None:
    """Skip the test where the Claude agent is not installed, or fail it."""
    _require(NODE, CLAUDE, _CLAUDE_CODE)


def summary() -> str:
    """Which agents the tests can run."""
    return missing(NODE, CLAUDE, _CLAUDE_CODE, OPENCODE) or "OpenCode and the Claude agent"


def _require(*programs: Path) -> None:
    if reason := missing(*programs):
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(reason)
        pytest.skip(reason)
