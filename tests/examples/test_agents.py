"""`examples/agents.toml` sets up agents and an MCP server."""

from functools import reduce
from pathlib import Path

from server.agents.acp.profiles import acp_agents
from server.agents.mcp.servers import Remote, resolve
from server.config import load
from templates.resolver import resolve as fill_in
from tests import servers
from tests.downstream.server import downstream
from tests.examples.test_hosts import EXAMPLES
from tests.models.script import relay
from tests.models.server import model

EXAMPLE = EXAMPLES / "agents.toml"


def test_its_agents_are_known() -> None:
    assert [agent.id for agent in acp_agents(load(EXAMPLE), "1.2.3")] == ["claude", "opencode", "mine"]


def test_the_header_of_its_server_is_filled_in_from_the_secret() -> None:
    settings = load(EXAMPLE)
    claude = settings.agents.claude
    assert "TRACKER_TOKEN" in claude.secrets
    (server,) = resolve(
        claude.mcp_servers, settings.mcp_servers, lambda text: fill_in(text, {"TRACKER_TOKEN": "sesame-17"})
    )
    assert isinstance(server, Remote)
    assert server.headers == {"Authorization": "Bearer sesame-17"}


async def test_the_header_of_its_server_arrives_where_its_agent_calls_a_tool(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sesame-17-token")
    with downstream() as tracker, model(relay("echo", text="found it")) as scripted, servers.home(tmp_path) as state:
        here = {
            "https://tracker.example.com/mcp": tracker.url,
            "~/.config/remit/tracker-token": str(key),
            "claude-sonnet-4-5": "scripted",
            'api_key = { command = ["pass", "show", "anthropic/api-key"] }': f'api_key = {{ file = "{key}" }}\n'
            f'base_url = "{scripted.url}"',
        }
        (tmp_path / "remit.toml").write_text(reduce(lambda text, pair: text.replace(*pair), here.items(), read()))
        async with servers.host(state) as host:
            task = await host.done("look it up", agentId="llm")
    assert (task["status"], task["output"]["content"]) == ("completed", "echo: found it")
    assert tracker.was_shown("Authorization", "Bearer sesame-17-token")


def read() -> str:
    return EXAMPLE.read_text()
