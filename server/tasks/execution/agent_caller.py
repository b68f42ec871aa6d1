"""The agent of a run as a caller, and the interface that takes its requests."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from anyio.abc import ByteStream

from server.agents.interface import ToolResult, ToolSpec
from server.config import Settings
from server.errors import Code, RemitError
from server.tasks.secrets.variables import Variables
from storage.records.tasks import Claim, NewEvent, Principal
from storage.sqlite.store import Store

MAX_CHANGES = 10_000
"""Sub-tasks that one run may make, message and cancel: a person's week of work, and all of it is on record."""

MAX_ATTEMPTS = 100
"""Refused attempts of one run that become events; an adversary could go on for ever."""


@dataclass(slots=True)
class AgentCaller:
    """The agent of one run as a caller. Its refused attempts are in its task's log."""

    store: Store
    claim: Claim
    variables: Variables
    _attempts: int = field(default=0, init=False)
    _changes: int = field(default=0, init=False)

    @property
    def principal(self) -> Principal:
        """Whose task it works on."""
        return Principal(self.claim.task.principal, self.claim.task.username)

    def count_change(self) -> None:
        """One thing more is made, messaged or cancelled. Raises RemitError (LIMIT_EXCEEDED)."""
        self._changes += 1
        if self._changes > MAX_CHANGES:
            raise RemitError(Code.LIMIT_EXCEEDED, f"one run changes {MAX_CHANGES} things at most", most=MAX_CHANGES)

    async def attempted(self, code: Code, message: str, **about: str) -> None:
        """Note a refused attempt."""
        self._attempts += 1
        if self._attempts <= MAX_ATTEMPTS:
            event = NewEvent("error", {"code": code, "message": self.variables.redactor.redact(message), **about})
            with suppress(RemitError):  # a run that has lost its task has nothing more to tell
                await self.store.append_events(self.claim.run, [event])


class SubtaskApi(Protocol):
    """Takes an agent's requests, in the terms of the interfaces."""

    def tool_specs(self, agent_caller: AgentCaller) -> Sequence[ToolSpec]:
        """The tools it has."""
        ...

    async def use(self, agent_caller: AgentCaller, tool: str, args: Mapping[str, Any]) -> ToolResult:
        """Use one of them."""
        ...

    async def has_open_subtask(self, agent_caller: AgentCaller, task_id: object) -> bool:
        """Whether it has such a sub-task, which has not ended."""
        ...

    async def serve(self, agent_caller: AgentCaller, stream: ByteStream) -> None:
        """Offer them on a connection until that ends."""
        ...


def may_delegate(settings: Settings, claim: Claim) -> bool:
    """Whether the agent of this run may hand on sub-tasks."""
    allowed = settings.agents.of(claim.task.agent).delegate
    return allowed and claim.task.depth < settings.subtasks.depth and settings.subtasks.count > 0
