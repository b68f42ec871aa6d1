"""Profiles of the shipped agents, and of the operator's own programs."""

from collections.abc import Iterator

from server.agents.acp.agent import AcpAgent
from server.agents.acp.profiles.claude import CLAUDE
from server.agents.acp.profiles.custom import custom
from server.agents.acp.profiles.opencode import OPENCODE
from server.config import Settings


def acp_agents(settings: Settings, version: str) -> Iterator[AcpAgent]:
    """Yield every agent of the settings that speaks the protocol. `version` is this server's."""
    yield AcpAgent(CLAUDE, settings.agents.claude, settings, version)
    yield AcpAgent(OPENCODE, settings.agents.opencode, settings, version)
    for name, own in settings.agents.custom.items():
        yield AcpAgent(custom(name, own), own, settings, version)
