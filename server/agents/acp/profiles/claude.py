"""Claude Code, through its adapter to the protocol."""

import json
from collections.abc import Mapping
from typing import Any

from server.agents.acp.profile import Profile
from server.limits import GIB

_HOST = "api.anthropic.com"

# All of its tools that do more than read. Rules to ask outweigh every rule to allow, and its own idea of what is safe.
_ASK = "Bash Edit Write NotebookEdit WebFetch WebSearch Agent Skill Workflow Monitor SendMessage CronCreate mcp__*"

_SETTINGS = {
    "permissions": {
        "defaultMode": "default",
        "disableBypassPermissionsMode": "disable",
        "ask": _ASK.split(),
    },
    "disableAutoMode": "disable",
}


def _meta(system_prompt: str | None) -> Mapping[str, Any]:
    """Return the session's options: only the settings in HOME count, as those in the workspace could skip approvals."""
    options = {"claudeCode": {"options": {"settingSources": ["user"]}}}
    return options | ({"systemPrompt": {"append": system_prompt}} if system_prompt else {})


CLAUDE = Profile(
    id="claude",
    description="Claude Code, an agent with a model of Anthropic's, works in the sandbox with its own tools.",
    command=("claude-agent-acp",),
    install="npm install -g @agentclientprotocol/claude-agent-acp",
    env={
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "ENABLE_TOOL_SEARCH": "false",  # which would hide the tools of MCP servers at first
    },
    steered_by=("CLAUDE*", "DISABLE_*", "ENABLE_*", "ANTHROPIC_BASE_URL", "ANTHROPIC_*MODEL*"),
    home={".claude/settings.json": json.dumps(_SETTINGS)},
    keys={"ANTHROPIC_API_KEY": _HOST, "ANTHROPIC_AUTH_TOKEN": _HOST, "CLAUDE_CODE_OAUTH_TOKEN": _HOST},
    least_memory=GIB,
    mode="default",
    meta=_meta,
    takes_system_prompt=True,
    notes=(
        "It is made to ask before everything but reading and searching files.",
        "Settings, hooks and CLAUDE.md in the workspace are ignored: they could make it ask less.",
    ),
)
