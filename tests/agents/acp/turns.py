"""A turn as an agent sees it, kept in memory, with real processes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import anyio

from server.agents.acp.agent import AcpAgent
from server.agents.acp.profile import Profile
from server.agents.interface import (
    CommandResult,
    HistoryMessage,
    KnownCall,
    Permission,
    Program,
    Proposal,
    RunCommand,
    ToolResult,
    ToolSpec,
    Usage,
)
from server.config import AcpSettings, McpServerSettings, Settings
from server.errors import Code, RemitError
from server.runner.detection import find_sandbox
from server.runner.dialogue import ProcessIO
from server.runner.policy import Command, SandboxPolicy
from server.runner.process import ProcessMark
from server.runner.sandbox import Sandbox
from templates.resolver import resolve
from templates.steps import Steps

SCRIPTED = Path(__file__).with_name("scripted")
PATIENCE = 30
"""Seconds: far above what anything here takes."""

_STATUS: dict[Permission, Any] = {
    Permission.PROCEED: "executing",
    Permission.REFUSED: "cancelled",
    Permission.ALREADY_DONE: "success",
}


class MemoryTurn:
    """Implements `Turn`: who decides is `decide`, which may wait for whatever it likes."""

    def __init__(
        self,
        workspace: Path,
        message: str = "do it",
        *,
        decide: Callable[[Proposal], Awaitable[Permission]] | None = None,
        values: Mapping[str, str] | None = None,
        system_prompt: str | None = None,
        mcp_servers: Sequence[str] = (),
        conversation: Sequence[HistoryMessage] = (),
        state: Mapping[str, Any] | None = None,
        earlier: Mapping[str, Any] | None = None,
        known: Sequence[KnownCall] = (),
        most_calls: int = 1000,
    ) -> None:
        self.message = message
        self.system_prompt = system_prompt
        self.mcp_servers = mcp_servers
        self.workspace = workspace
        self.said: list[str] = []
        self.thoughts: list[tuple[str, str]] = []
        self.state = state
        self.usage: list[Usage] = []
        self.bound: list[bool] = []
        self.programs: list[Program] = []
        self.events = anyio.Event()
        self._decide = decide or _proceed
        self._values = values or {}
        self._conversation = conversation
        self._earlier = earlier
        self._known = {call.key: call for call in known}
        self._shown: dict[str, KnownCall] = {}
        self._most_calls = most_calls
        self._made = 0

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(self.said)

    @property
    def made(self) -> list[KnownCall]:
        """The calls on record, in order."""
        return list(self._known.values())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        with anyio.fail_after(PATIENCE):
            while not condition():
                await self.events.wait()

    async def history(self) -> list[HistoryMessage]:
        return list(self._conversation)

    async def recall(self) -> Mapping[str, Any] | None:
        return self.state

    async def recall_earlier(self) -> Mapping[str, Any] | None:
        return self._earlier

    async def remember(self, state: Mapping[str, Any], usage: Usage | None = None) -> None:
        self.state = state
        self.usage += [usage] if usage else []

    async def set_process_bound(self, bound: bool) -> None:
        self.bound.append(bound)

    async def say(self, text: str) -> None:
        self.said.append(text)
        self._happened()

    async def think(self, description: str, subject: str = "", *, goes_on: bool = False) -> None:
        self.thoughts.append((subject, description))

    async def unlock(self) -> None:
        pass

    def fill_in(self, text: str) -> str:
        return resolve(text, self._values)

    async def mask(self, value: Any) -> Any:
        return value

    async def mask_beginning(self, text: str) -> str:
        return text

    async def mask_within(self, text: str, start: int, stop: int) -> str:
        return text[start:stop]

    async def propose(self, proposals: Sequence[Proposal]) -> None:
        for proposal in proposals:
            call = KnownCall(
                key=proposal.key,
                tool_name=proposal.tool_name,
                args=proposal.args,
                status="pending",
                approved=False,
                output="",
                exit_status=None,
                reason=None,
                is_hidden=False,
            )
            if self._known.setdefault(proposal.key, call).args != proposal.args:
                raise RemitError(Code.CONFLICT, f"{proposal.key} is known with other arguments")
        self._shown = dict(self._known)
        self._happened()

    def calls(self) -> Mapping[str, KnownCall]:
        return self._shown

    async def is_same(self, key: str, args: Mapping[str, Any]) -> bool:
        return self._known[key].args == args

    def tool_specs(self) -> Sequence[ToolSpec]:
        return ()

    async def use(self, key: str, tool: str, args: Mapping[str, Any]) -> ToolResult:
        raise NotImplementedError

    async def record_missing_tool(self, tool: str) -> None:
        raise NotImplementedError

    async def call(self, key: str, *, reads: bool = False) -> Permission:
        raise NotImplementedError

    async def wait(self, key: str) -> Permission:
        known = self._known[key]
        if known.status == "cancelled":
            return Permission.REFUSED
        assert known.status in ("pending", "awaiting_approval"), f"{key} was asked for twice"
        self._note(key, status="awaiting_approval")
        proposal = Proposal(key=key, tool_name=known.tool_name, args=known.args, description="")
        permission = Permission.PROCEED if known.approved else await self._decide(proposal)
        self._note(key, status=_STATUS[permission], reason="no" if permission is Permission.REFUSED else None)
        return permission

    async def record_unasked(self, key: str) -> Permission:
        self._note(key, status="executing")
        return Permission.PROCEED

    async def amend(self, proposal: Proposal) -> None:
        raise NotImplementedError

    async def renew(self, key: str) -> None:
        raise NotImplementedError

    def secret_in(self, text: str) -> Steps[str | None]:
        raise NotImplementedError

    async def warn(self, message: str, key: str) -> None:
        raise NotImplementedError

    async def run(self, key: str, ran: RunCommand) -> CommandResult:
        raise NotImplementedError

    async def perform(self, key: str, action: Callable[[], Awaitable[ToolResult]]) -> ToolResult:
        raise NotImplementedError

    async def end(self, key: str, answer: ToolResult) -> ToolResult:
        known = self._known[key]
        assert known.status in ("executing", "awaiting_approval"), f"{key} has ended twice"
        ended = "cancelled" if known.status == "awaiting_approval" else "error" if answer.failed else "success"
        self._note(key, status=ended, output=answer.text)
        return answer

    @asynccontextmanager
    async def talk(self, program: Program) -> AsyncIterator[ProcessIO]:
        """Yield the program in the sandbox, with a HOME that ends with it."""
        self.programs.append(program)
        policy = SandboxPolicy(workspace=self.workspace, readable=(*program.readable, SCRIPTED))
        sandbox = await _sandbox()
        async with sandbox.talk(Command(argv=program.argv, env=program.env), policy, started=_started) as process_io:
            yield process_io

    def _note(self, key: str, **changes: Any) -> None:
        self._known[key] = replace(self._known[key], **changes)
        self._shown = dict(self._known)
        self._happened()

    def _happened(self) -> None:
        self.events.set()
        self.events = anyio.Event()


@cache
def _found() -> list[Sandbox]:
    """Return the sandbox of this machine, once it was looked for."""
    return []


async def _sandbox() -> Sandbox:
    if not _found():
        _found().append(await find_sandbox())
    return _found()[0]


async def _started(mark: ProcessMark) -> None:
    assert mark.is_alive()


async def _proceed(_: Proposal) -> Permission:
    return Permission.PROCEED


async def refuse(_: Proposal) -> Permission:
    """Say no to everything."""
    return Permission.REFUSED


async def never(_: Proposal) -> Permission:
    """Leave it open."""
    await anyio.sleep_forever()
    raise AssertionError


def scripted(
    behaviour: str, servers: Mapping[str, McpServerSettings] | None = None, *, profile: Any = None, **settings: Any
) -> AcpAgent:
    """Return the agent that behaves in one way."""
    command = ("/usr/bin/python3", "-I", "-S", str(SCRIPTED), behaviour)
    known = profile or Profile(id="scripted", description="Does what it is told.", command=command)
    return AcpAgent(known, AcpSettings(command=command, **settings), Settings(mcp_servers=dict(servers or {})), "1.2.3")


async def work(turn: MemoryTurn, behaviour: str, **arguments: Any) -> None:
    """Make the agent do a turn, within the time that anything here may take."""
    with anyio.fail_after(PATIENCE):
        await scripted(behaviour, **arguments).work(turn)


async def failure(turn: MemoryTurn, behaviour: str, **arguments: Any) -> RemitError:
    """Return how the agent's turn fails."""
    try:
        await work(turn, behaviour, **arguments)
    except RemitError as error:
        return error
    raise AssertionError(f"{behaviour} did not fail; it said {turn.text!r}")
