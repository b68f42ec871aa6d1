"""The agent of a run as a caller of the service, and the interface that takes its requests."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from anyio.abc import ByteStream

from server.agents.interface import ToolResult, ToolSpec
from server.config import Settings
from server.errors import Code, RemitError
from server.tasks.secrets.variables import Variables
from storage.interface import Store
from storage.records.events import EventKind, RunEvent
from storage.records.tasks import Claim, Principal

MAX_CHANGES = 10_000
"""Sub-tasks that one run may create, message and cancel in all: a person's week of work; each is on record."""

MAX_ATTEMPTS = 100
"""Refused attempts of one run that are logged as events; the agent may be an adversary, who would never stop."""


@dataclass(slots=True)
class AgentCaller:
    """The agent of one run as a caller. Its refused attempts are recorded in its task's log."""

    store: Store
    claim: Claim
    variables: Variables
    _attempts: int = field(default=0, init=False)
    _changes: int = field(default=0, init=False)

    @property
    def principal(self) -> Principal:
        """The owner of the task that it works on."""
        return Principal(self.claim.task.principal, self.claim.task.username)

    def count_change(self) -> None:
        """Count one more sub-task created, messaged or cancelled. Raises RemitError (LIMIT_EXCEEDED)."""
        self._changes += 1
        if self._changes > MAX_CHANGES:
            message = f"one run may create, message or cancel sub-tasks at most {MAX_CHANGES} times"
            raise RemitError(Code.LIMIT_EXCEEDED, message, most=MAX_CHANGES)

    async def attempted(self, code: Code, message: str, tool: str | None = None) -> None:
        """Record a refused attempt in the task's log, masked; `tool` is the name of the tool that was called."""
        self._attempts += 1
        if self._attempts <= MAX_ATTEMPTS:
            texts = {"message": message} if tool is None else {"message": message, "toolName": tool}
            masked = {name: self.variables.masker.short(text) for name, text in texts.items()}
            event = RunEvent(EventKind.ERROR, masked, code)
            with suppress(RemitError):  # the run has lost its task: nobody reads this any more
                await self.store.append_events(self.claim.run, [event])


class SubtaskApi(Protocol):
    """The sub-task tools of an agent, as the service offers them."""

    def tool_specs(self, agent_caller: AgentCaller) -> Sequence[ToolSpec]:
        """Return the tools that the agent has."""
        ...

    async def use(self, agent_caller: AgentCaller, tool: str, args: Mapping[str, Any]) -> ToolResult:
        """Call one of the tools."""
        ...

    async def has_open_subtask(self, agent_caller: AgentCaller, task_id: object) -> bool:
        """Return whether the agent has a sub-task with this id that has not ended."""
        ...

    async def serve(self, agent_caller: AgentCaller, stream: ByteStream) -> None:
        """Serve the tools as an MCP server on a connection until it ends."""
        ...


def may_delegate(settings: Settings, claim: Claim) -> bool:
    """Return whether the agent of this run may create sub-tasks."""
    allowed = settings.agents.of(claim.task.agent).delegate
    return allowed and claim.task.depth < settings.subtasks.depth and settings.subtasks.count > 0
