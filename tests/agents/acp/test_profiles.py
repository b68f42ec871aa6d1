"""Profiles of agents, and the effect of their settings."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.agents.acp.agent import AcpAgent
from server.agents.acp.profiles import acp_agents
from server.agents.acp.profiles.claude import CLAUDE
from server.agents.acp.profiles.opencode import OPENCODE
from server.config import AcpSettings, AgentTable, Settings
from server.errors import Code, RemitError
from tests.agents.acp.turns import SCRIPTED, MemoryTurn
from tests.agents.test_installation import on_path, program

pytestmark = pytest.mark.anyio


def agent(name: str, **settings: Any) -> AcpAgent:
    (found,) = (agent for agent in of_table(AgentTable(**{name: settings})) if agent.id == name)
    return found


def of_table(table: AgentTable) -> list[AcpAgent]:
    return list(acp_agents(Settings(agents=table), "1.2.3"))


def test_a_program_of_the_operator_is_an_agent_by_its_name() -> None:
    table = AgentTable(mine=AcpSettings(command=("my-agent",)))
    assert [agent.id for agent in of_table(table)] == ["claude", "opencode", "mine"]


async def test_one_that_is_not_installed_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(monkeypatch, tmp_path)
    readiness = await agent("claude").readiness()
    assert readiness.needs
    assert "npm install -g @agentclientprotocol/claude-agent-acp" in readiness.needs


async def test_one_that_is_not_installed_fails_its_task_with_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(monkeypatch, tmp_path)
    with pytest.raises(RemitError, match="npm install -g opencode-ai") as caught:
        await agent("opencode").work(MemoryTurn(tmp_path))
    assert caught.value.code is Code.AGENT_UNAVAILABLE


@pytest.mark.parametrize("name", ["claude", "opencode"])
async def test_one_without_a_key_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    command = program(tmp_path / "agent")
    readiness = await agent(name, command=[str(command)]).readiness()
    assert readiness.needs
    assert "[secrets.ANTHROPIC_API_KEY]" in readiness.needs


@pytest.mark.parametrize(("settings", "is_ready"), [({"network": "full"}, True), ({}, False)])
async def test_a_key_that_a_task_brings_signs_it_in_where_the_network_is_set(
    tmp_path: Path, settings: dict[str, Any], is_ready: bool
) -> None:
    command = program(tmp_path / "agent")
    readiness = await agent("claude", command=[str(command)], **settings).readiness({"ANTHROPIC_API_KEY", "OTHER"})
    assert (readiness.needs is None) == is_ready


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("claude", {"secrets": ["CLAUDE_CODE_OAUTH_TOKEN"]}),
        ("claude", {"env": {"ANTHROPIC_AUTH_TOKEN": "<<mcp.KEY>>"}}),
        ("opencode", {"secrets": ["OPENAI_API_KEY"]}),
        ("opencode", {"env": {"OPENCODE_CONFIG_CONTENT": "{}"}}),
    ],
)
async def test_one_that_is_installed_and_signed_in_is_ready(
    tmp_path: Path, name: str, settings: dict[str, Any]
) -> None:
    command = program(tmp_path / "agent")
    assert (await agent(name, command=[str(command)], **settings).readiness()).needs is None


@pytest.mark.parametrize("name", ["claude", "opencode", "mine"])
async def test_each_says_what_its_asking_is_worth(name: str) -> None:
    assert (await agent(name, command=["sh"]).readiness()).notes


async def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    path = program(tmp_path / "node_modules" / "claude-agent" / "index")
    (path.parent / "package.json").write_text(json.dumps({"version": "0.101.0"}))
    assert (await agent("claude", command=[str(path)]).readiness()).version == "0.101.0"


async def test_one_with_too_little_memory_says_how_much_it_needs(tmp_path: Path) -> None:
    command = program(tmp_path / "agent")
    small = agent("opencode", command=[str(command)], limits={"memory": "2GiB"}, secrets=["OPENAI_API_KEY"])
    assert (await small.readiness()).needs == "memory: at least 4.0GiB in [agents.opencode.limits] or [limits]"
    with pytest.raises(RemitError, match=r"at least 4\.0GiB"):
        await small.work(MemoryTurn(tmp_path))


async def test_a_failure_that_is_known_comes_with_advice(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    with pytest.raises(RemitError, match="it may in the namespaces tier of the sandbox") as caught:
        await agent("opencode", command=[*_scripted("cannot_listen")], secrets=["OPENAI_API_KEY"]).work(turn)
    assert caught.value.code is Code.EXECUTION_ERROR


async def test_opencode_is_its_binary_where_no_script_has_put_it_in_its_place(tmp_path: Path) -> None:
    packages = tmp_path / "node_modules"
    stub = program(packages / "opencode-ai" / "bin" / "opencode.exe", "echo run postinstall\n")
    for machine in ("x64", "arm64"):
        binary = program(packages / f"opencode-linux-{machine}-baseline" / "bin" / "opencode")
        (binary.parents[1] / "package.json").write_text(json.dumps({"version": "1.18.33"}))
    assert (await agent("opencode", command=[str(stub)]).readiness()).version == "1.18.33"


async def test_opencode_without_its_binary_is_not_ready(tmp_path: Path) -> None:
    stub = program(tmp_path / "node_modules" / "opencode-ai" / "bin" / "opencode.exe", "echo run postinstall\n")
    readiness = await agent("opencode", command=[str(stub)]).readiness()
    assert readiness.needs
    assert "no binary for this machine" in readiness.needs


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        ({"secrets": ["ANTHROPIC_API_KEY"]}, ("api.anthropic.com",)),
        ({"secrets": ["ANTHROPIC_API_KEY"], "network": "none"}, ()),
        ({"secrets": ["ANTHROPIC_API_KEY"], "network": ["proxy.example.com"]}, ()),
        ({}, ()),
    ],
)
async def test_it_may_reach_its_model_unless_the_settings_say_otherwise(
    tmp_path: Path, settings: dict[str, Any], hosts: tuple[str, ...]
) -> None:
    turn = MemoryTurn(tmp_path)
    await agent("claude", command=[*_scripted("has_modes")], **settings).work(turn)
    assert turn.programs[0].hosts == hosts


async def test_the_settings_go_over_the_variables_of_a_profile(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, values={"KEY": "sesame-17"})
    settings = {"DISABLE_TELEMETRY": "0", "TOKEN": "<<mcp.KEY>>"}
    await agent("claude", command=[*_scripted("has_modes")], env=settings).work(turn)
    env = turn.programs[0].env
    assert (env["DISABLE_TELEMETRY"], env["TOKEN"], env["DISABLE_AUTOUPDATER"]) == ("0", "sesame-17", "1")


def test_claude_reads_no_settings_of_the_workspace() -> None:
    assert CLAUDE.meta(None) == {"claudeCode": {"options": {"settingSources": ["user"]}}}


def test_claude_takes_a_system_prompt_as_such() -> None:
    assert CLAUDE.meta("be brief")["systemPrompt"] == {"append": "be brief"}


def test_opencode_reads_no_settings_of_the_workspace() -> None:
    assert OPENCODE.env["OPENCODE_DISABLE_PROJECT_CONFIG"] == "1"


def _scripted(behaviour: str) -> tuple[str, ...]:
    return ("/usr/bin/python3", "-I", "-S", str(SCRIPTED), behaviour)
