"""The npm packages that `make packages` installs: agents, hosts and clients, only ever read and run."""

import platform
from pathlib import Path

import pytest

PACKAGES = Path(__file__).with_name("node_modules")

_MACHINE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())

NODE = PACKAGES / f"node-linux-{_MACHINE}/bin/node"
"""Of the version that most of the others ask for, whatever the machine itself has."""

OPENCODE = PACKAGES / "opencode-linux-x64-baseline/bin/opencode"
"""The build that takes no newer processor than any x86_64; at this version there is none for another machine."""

CLAUDE_AGENT = PACKAGES / "@agentclientprotocol/claude-agent-acp/dist/index.js"
"""A script for node; the Claude Code that it is made for is a program that it finds beside it."""

CLAUDE_CODE = PACKAGES / f"@anthropic-ai/claude-code-linux-{_MACHINE}/claude"
"""The program that `npm install @anthropic-ai/claude-code` would choose for this machine."""

INSPECTOR = PACKAGES / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
"""A script for node."""

_OF_CLAUDE_AGENT = PACKAGES / f"@anthropic-ai/claude-agent-sdk-linux-{_MACHINE}/claude"


def require(*paths: Path) -> None:
    """Fail the test where any of these is not installed."""
    if absent := [str(path.relative_to(PACKAGES)) for path in paths if not path.exists()]:
        pytest.fail(f"not installed: {', '.join(absent)}; `make packages` brings them, with npm")


def require_opencode() -> None:
    """Fail the test where OpenCode is not installed."""
    require(OPENCODE)


def require_claude_agent() -> None:
    """Fail the test where the Claude agent is not installed."""
    require(NODE, CLAUDE_AGENT, _OF_CLAUDE_AGENT)
