"""Differences between circumstances."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.config import AcpSettings, AgentTable, McpServerSettings, Settings
from server.runner.policy import Limits, SandboxPolicy
from server.tasks.approvals.circumstances import circumstances
from storage.records.calls import Circumstances
from storage.records.tasks import Claim
from storage.records.workspaces import Workspace
from storage.sqlite.store import open_store
from tests.storage.fresh import fresh
from tests.storage.samples import claimed

POLICY = SandboxPolicy(workspace=Path("/w"))
SETTINGS = Settings()


@pytest.fixture
async def claim(tmp_path: Path) -> AsyncIterator[Claim]:
    """A run of a task with a variable."""
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        yield await claimed(store, env={"A": "1"})


def of(claim: Claim, policy: SandboxPolicy = POLICY, settings: Settings = SETTINGS) -> Circumstances:
    """Return the circumstances of its calls."""
    return circumstances(claim, {}, policy, "namespaces", settings)


async def test_they_do_not_differ_from_themselves(claim: Claim) -> None:
    known = of(claim)
    assert (known.digest, known.differ(known.content)) == (of(claim).digest, [])


async def test_what_an_earlier_version_has_not_noted_was_unknown(claim: Claim) -> None:
    differs = of(claim).differ({})
    assert {"the variable A is new: 1", "the network was: unknown, and is now: none"} <= set(differs)


@pytest.mark.parametrize(
    ("policy", "differs"),
    [
        (replace(POLICY, network="full"), "the network was: none, and is now: full"),
        (replace(POLICY, network=("a", "b")), "the network was: none, and is now: a, b"),
        (replace(POLICY, hooks="writable"), "the access to hooks was: read-only, and is now: writable"),
        (replace(POLICY, readable=(Path("/r"),)), "the readable path was: /w, and is now: /w:/r"),
        (replace(POLICY, limits=Limits(cpu_seconds=7)), "the limit of cpu seconds was 3600, and is now 7"),
    ],
)
async def test_each_part_of_the_sandbox_counts(claim: Claim, policy: SandboxPolicy, differs: str) -> None:
    before, now = of(claim), of(claim, policy)
    assert before.digest != now.digest
    assert now.differ(before.content) == [differs]


async def test_the_folder_and_its_mode_count(claim: Claim) -> None:
    folder = Workspace(mode="readonly", path="/w", shared=False, reaches=())
    before, now = (of(replace(claim, workspace=each)) for each in (folder, replace(folder, mode="readwrite")))
    assert before.digest != now.digest
    assert now.differ(before.content) == ["the folder was: /w (readonly), and is now: /w (readwrite)"]


def speaking(**about: Any) -> Settings:
    """Settings with an agent program `mine`, and with an MCP server `files` that it has."""
    agent = AcpSettings(command=("mine",), mcp_servers=("files",))
    server = McpServerSettings(command="serve", args=("--all",), env={"KEY": "a"}, **about)
    return Settings(agents=AgentTable(mine=agent), mcp_servers={"files": server})


async def test_what_the_settings_say_of_an_mcp_server_counts(claim: Claim) -> None:
    its_own = replace(claim, task=replace(claim.task, agent="mine"))
    before, now = of(its_own, settings=speaking()), of(its_own, settings=speaking(deny=("erase",)))
    assert before.digest != now.digest
    assert now.differ(before.content) == ["the MCP server files has other settings"]


async def test_an_mcp_server_that_the_task_does_not_have_counts_for_nothing(claim: Claim) -> None:
    assert of(claim, settings=speaking()).digest == of(claim).digest


async def test_the_command_of_an_agent_program_counts(claim: Claim) -> None:
    its_own = replace(claim, task=replace(claim.task, agent="mine"))
    tables = [AgentTable(mine=AcpSettings(command=(command,))) for command in ("mine", "other")]
    before, now = (of(its_own, settings=Settings(agents=table)) for table in tables)
    assert before.digest != now.digest
    assert now.differ(before.content) == ["the agent mine has other settings"]


async def test_what_is_kept_of_settings_tells_no_value_in_them(claim: Claim) -> None:
    its_own = replace(claim, task=replace(claim.task, agent="mine"))
    settings = speaking(timeout=7)
    content = of(its_own, settings=settings).content
    assert "--all" not in str(content)


@pytest.mark.parametrize(
    "name",
    """
    ALL_PROXY BASH_ENV BASH_FUNC_ls CC EDITOR GCONV_PATH GIT_SSH_COMMAND GREP_OPTIONS HOME INPUTRC KUBECONFIG LD_PRELOAD
    LESSOPEN MANPAGER NODE_OPTIONS OPENSSL_CONF PAGER PERL5OPT PROMPT_COMMAND PYTHONSTARTUP RSYNC_RSH RUSTC_WRAPPER
    R_PROFILE SSL_CERT_FILE SUDO_ASKPASS VISUAL https_proxy
    """.split(),
)
async def test_a_variable_that_steers_programs_is_told_before_others(claim: Claim, name: str) -> None:
    task = replace(claim.task, env={"A": "1", "REGION": "2", name: "3"})
    assert of(replace(claim, task=task)).differ(None)[0] == f"the variable {name} is 3"
