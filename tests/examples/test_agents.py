"""`examples/agents.toml` sets up agents and an MCP server."""

from server.agents.acp.profiles import acp_agents
from server.agents.mcp.servers import Remote, resolve
from server.config import load
from templates.resolver import resolve as fill_in
from tests.examples.test_hosts import EXAMPLES

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
