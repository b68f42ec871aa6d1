"""Sandbox policies of tasks: the operator's settings, lowered by the task's own demands."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from server.agents.interface import Program
from server.config import AgentSettings, LimitSettings, Settings
from server.errors import Code, RemitError
from server.limits import MIB
from server.runner.policy import Limits, Network, SandboxPolicy
from server.runner.sandbox import Sandbox
from server.tasks.working_directory import WorkingDirectory
from server.tier_names import confines, stronger_than
from storage.records.demands import Demands

# The task's name of each limit: the operator's setting, and how many of its units make one of the task's.
_LIMITS = {
    "memoryMb": ("memory", MIB),
    "processes": ("processes", 1),
    "openFiles": ("open_files", 1),
    "fileMb": ("file_size", MIB),
    "tmpMb": ("tmp_size", MIB),
    "workspaceMb": ("workspace_size", MIB),
    "cpuSeconds": ("cpu_seconds", 1),
}


def policy(settings: Settings, agent_id: str, demands: Demands, directory: WorkingDirectory) -> SandboxPolicy:
    """Return the policy of a task's commands."""
    agent = settings.agents.of(agent_id)
    limits = _lowered(_granted(settings, agent), demands.limits or {})
    return SandboxPolicy(
        workspace=directory.workspace,
        folder=directory.folder,
        access=directory.access,
        owner=directory.owner,
        readable=(*agent.readable, *directory.readable),
        pinned=directory.pinned,
        hooks="writable" if demands.allow_hooks else "read-only",
        network="none" if _may_reach_nothing(demands) else agent.network,
        limits=Limits(
            memory_bytes=limits.memory,
            processes=limits.processes,
            open_files=limits.open_files,
            file_bytes=limits.file_size,
            tmp_bytes=limits.tmp_size,
            workspace_bytes=limits.workspace_size,
            free_bytes=limits.free_space,
            cpu_seconds=limits.cpu_seconds,
        ),
    )


def widened(policy: SandboxPolicy, demands: Demands, program: Program, home: Path | None) -> SandboxPolicy:
    """Return the policy of a program that an agent talks to: the task's, plus the hosts and files the program needs."""
    reached = policy.network if program.inherits else "none"
    return replace(
        policy,
        home=home,
        readable=(*policy.readable, *program.readable, *(home / name for name in program.home or () if home)),
        network="none" if _may_reach_nothing(demands) else _more(reached, program.hosts),
    )


def mcp_servers(settings: Settings, agent_id: str, demands: Demands) -> list[str]:
    """Return the names of a task's MCP servers: its agent's, then its own."""
    return list(dict.fromkeys((*settings.agents.of(agent_id).mcp_servers, *demands.mcp_servers)))


def check(settings: Settings, agent_id: str, sandbox: Sandbox, demands: Demands) -> None:
    """Refuse demands that the operator does not grant, or that this machine's sandbox cannot enforce.

    Raises RemitError: LIMIT_EXCEEDED naming the field, VALIDATION_ERROR for demands that exclude each other, or
    SANDBOX_UNAVAILABLE with `missing` in its details.
    """
    _lowered(_granted(settings, settings.agents.of(agent_id)), demands.limits or {})
    most = settings.approval_expires
    if most is not None and (demands.approval_timeout_seconds or 0) > most:
        raise RemitError(
            Code.LIMIT_EXCEEDED,
            f"approvalTimeoutSeconds: the operator grants at most {most} (setting approval_expires)",
            field="approvalTimeoutSeconds",
            most=most,
        )
    require = demands.require or {}
    if _may_reach_nothing(demands) and (remote := _remote_servers(settings, agent_id, demands)):
        raise RemitError(
            Code.VALIDATION_ERROR,
            f"require.network: the MCP server {remote[0]} is reached over the network; leave one of them out",
            field="require.network",
        )
    missing = []
    if require.get("tier") in stronger_than(sandbox.tier):
        missing.append(f"tier: {require['tier']}")
    if require.get("network") == "none" and not confines(sandbox.tier):
        missing.append("network: none")
    if missing:
        raise RemitError(
            Code.SANDBOX_UNAVAILABLE,
            f"this server's sandbox ({sandbox.tier}) does not provide what the task requires: {', '.join(missing)}",
            missing=missing,
            tier=sandbox.tier,
        )


def approval_expires(settings: Settings, demands: Demands) -> int | None:
    """Return the seconds after which an undecided call of a task is refused; None: never."""
    given = (settings.approval_expires, demands.approval_timeout_seconds)
    return min((each for each in given if each is not None), default=None)


def _more(network: Network, hosts: tuple[str, ...]) -> Network:
    match network:
        case "full":
            return network
        case "none":
            return hosts or network
        case _:
            return (*network, *hosts)


def _may_reach_nothing(demands: Demands) -> bool:
    return (demands.require or {}).get("network") == "none"


def _remote_servers(settings: Settings, agent_id: str, demands: Demands) -> list[str]:
    names = mcp_servers(settings, agent_id, demands)
    return [name for name in names if name in settings.mcp_servers and settings.mcp_servers[name].url]


def _granted(settings: Settings, agent: AgentSettings) -> LimitSettings:
    """Return the limits of the settings, with the agent's own in their place."""
    own = agent.limits.model_dump(exclude_unset=True) if agent.limits else {}
    return settings.limits.model_copy(update=own)


def _lowered(granted: LimitSettings, asked: Mapping[str, int]) -> LimitSettings:
    lower = {}
    for name, number in asked.items():
        setting, unit = _LIMITS[name]
        most = getattr(granted, setting)
        if number * unit > most:
            raise RemitError(
                Code.LIMIT_EXCEEDED,
                f"limits.{name}: the operator grants at most {most // unit}",
                field=f"limits.{name}",
                most=most // unit,
            )
        lower[setting] = number * unit
    return granted.model_copy(update=lower)
