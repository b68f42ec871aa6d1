"""The configurations for MCP hosts start what they name."""

import json
import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests import servers

EXAMPLES = Path(__file__).parents[2] / "examples"
INSTALLED = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
"""Where `remit` is, as it is for a host once remit is installed."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with servers.home(tmp_path) as home:
        yield home


def _claude_code() -> dict[str, Any]:
    entry: dict[str, Any] = json.loads((EXAMPLES / "claude-code.mcp.json").read_text())["mcpServers"]["remit"]
    return entry


def _vscode() -> dict[str, Any]:
    entry: dict[str, Any] = json.loads((EXAMPLES / "vscode.mcp.json").read_text())["servers"]["remit"]
    return entry


def _codex() -> dict[str, Any]:
    entry: dict[str, Any] = tomllib.loads((EXAMPLES / "codex.config.toml").read_text())["mcp_servers"]["remit"]
    return entry


@pytest.mark.parametrize("entry", [_claude_code(), _vscode(), _codex()], ids=["claude-code", "vscode", "codex"])
async def test_a_host_that_is_configured_so_gets_the_tools(entry: dict[str, Any], home: Path) -> None:
    environment = servers.environment(home, PATH=INSTALLED)
    parameters = StdioServerParameters(command=entry["command"], args=entry["args"], env=environment, cwd=home.parent)
    async with Client(parameters) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
    assert "create_task" in names
