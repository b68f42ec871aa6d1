"""Assignments: what a message asks of an agent, and its checks, which a new task and a further turn have in common."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from server.agents.endings import NeedsModel
from server.agents.interface import Agent
from server.errors import Code, RemitError
from server.tasks import validation
from server.tasks.services import Services
from server.threads import READING, computed
from storage.records.tasks import NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A message to an agent, with the variables and secrets that the task has once it is accepted."""

    agent: str
    message: str
    env: Mapping[str, str]
    literals: Mapping[str, str]
    """The secrets that are given by value."""

    names: Sequence[str]
    """The secrets that are read by name."""

    texts: Iterable[tuple[str, str]]
    """Everything of the request that would be stored: a field's name and its text."""

    mcp_servers: Sequence[str] = ()


class AssignmentChecks:
    """The checks of assignments in two steps, between which a caller does those of its own kind of request."""

    def __init__(self, services: Services) -> None:
        self._agents = services.agents
        self._vault = services.vault
        self._settings = services.settings

    async def agent(self, asked: Assignment) -> list[str]:
        """Refuse an unknown agent, and a message or an MCP server that the agent cannot use.

        Returns warnings, a sentence each: about the message, and if the agent is not ready for a task with these
        variables and secrets (it may become ready before the task starts). Raises RemitError: AGENT_UNAVAILABLE for an
        unknown agent, VALIDATION_ERROR for an MCP server or a secret value in the message, which an error of the agent
        would repeat, or the agent's own error for the message.
        """
        await validation.refuse_values(asked.literals, [("message", asked.message)])
        if asked.agent == NOBODY:
            return []
        agent = self._agents.get(asked.agent)
        if agent is None:
            known = ", ".join((*self._agents, NOBODY))
            unknown_agent = f"agentId: there is no agent {asked.agent!r} (known: {known})"
            raise RemitError(Code.AGENT_UNAVAILABLE, unknown_agent, field="agentId")
        warnings = await self._message_warnings(agent, asked.message)
        self._check_mcp_servers(agent, asked.mcp_servers)
        needs = (await agent.readiness({*asked.env, *asked.literals, *asked.names})).needs
        unready = [f"agentId: {agent.id!r} is not ready, and a task of it fails: {needs}"] if needs else []
        return [*unready, *warnings]

    async def secrets(self, asked: Assignment) -> dict[str, str]:
        """Return the values of all secrets, those by name read from their sources.

        Raises RemitError: VALIDATION_ERROR for a name that is given twice or unknown, or a text that contains a value;
        EXECUTION_ERROR for a secret that cannot be read; TEMPLATE_ERROR for a variable that cannot be filled in.
        """
        values = {**await self._read(asked), **asked.literals}
        await check_texts(values, asked.texts, asked.env)
        return values

    async def _read(self, asked: Assignment) -> dict[str, str]:
        if both := sorted(set(asked.literals).intersection(asked.names)):
            raise RemitError(
                Code.VALIDATION_ERROR,
                f"{both[0]} is both in secrets and in secretNames; give it in one of them",
                field="secretNames",
            )
        return await self._vault.read(asked.names)

    async def _message_warnings(self, agent: Agent, message: str) -> Sequence[str]:
        try:
            return await computed(len(message), agent.check, message, threads=READING)
        except NeedsModel as error:
            raise RemitError(error.code, f"{error.message}; {await self._with_models()}", **error.details) from None

    async def _with_models(self) -> str:
        """Return a sentence that names the agents which could work on a message in words."""
        able = [agent for agent in self._agents.values() if agent.speaks]
        if ready := [agent.id for agent in able if (await agent.readiness()).needs is None]:
            return f"for a job in words, create a task with agentId {' or '.join(map(repr, ready))}"
        return (
            "a job in words needs an agent with a model, and none is set up here: the setting [agents.llm] "
            'model = "PROVIDER:NAME" does that (list_agents tells what others need)'
        )

    def _check_mcp_servers(self, agent: Agent, names: Sequence[str]) -> None:
        if names and not agent.speaks:
            raise _bad_server(f"the agent {agent.id!r} runs commands and uses no MCP servers")
        if unknown := [name for name in names if name not in self._settings.mcp_servers]:
            known = ", ".join(sorted(self._settings.mcp_servers)) or "none"
            raise _bad_server(f"the settings have no MCP server {unknown[0]!r} (known: {known})")


async def check_texts(values: Mapping[str, str], texts: Iterable[tuple[str, str]], env: Mapping[str, str]) -> None:
    """Refuse texts that contain one of these secret values, and variables that cannot be filled in with them.

    Raises RemitError: VALIDATION_ERROR or TEMPLATE_ERROR that names the field.
    """
    await validation.refuse_values(values, texts)
    await validation.templates(env, values)


def _bad_server(reason: str) -> RemitError:
    return RemitError(Code.VALIDATION_ERROR, f"mcpServers: {reason}", field="mcpServers")
