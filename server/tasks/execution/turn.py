"""The server's implementation of a turn: everything an agent can do in one run."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from server import logs
from server.agents.endings import OutOfCalls, Suspended
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
from server.errors import Code, RemitError
from server.json_text import memory
from server.runner.dialogue import ProcessIO
from server.tasks import sandbox_policy
from server.tasks.events.event_writer import EventWriter
from server.tasks.events.output import CommandOutput, OutputBudget
from server.tasks.events.transcript import Transcript
from server.tasks.execution.commands import CommandRunner
from server.tasks.execution.context import RunContext
from server.tasks.execution.gate import Gate
from server.tasks.execution.subtasks import RunSubtasks
from server.tasks.secrets.masking import joined
from storage.records import tasks
from storage.records.calls import HIDDEN, Call, CallResult
from storage.records.events import EventKind, RunEvent
from storage.records.masked import MaskedText
from storage.records.states import CUT_OFF, CallStatus
from templates.steps import Steps

MAX_STATE = 8 * 1024**2
"""Characters of JSON that an agent may remember: enough for a long conversation with a model."""

MAX_ARGS = 32 * 1024**2
"""Bytes of memory for the arguments of a turn's calls: all are read back whenever one more call is made."""

_PERMISSIONS = {
    CallStatus.EXECUTING: Permission.PROCEED,
    CallStatus.CANCELLED: Permission.REFUSED,
    CallStatus.SUCCESS: Permission.ALREADY_DONE,
    CallStatus.ERROR: Permission.ALREADY_DONE,
}

_log = logging.getLogger(__name__)


class ServerTurn:
    """One run as its agent sees it. Implements `server.agents.interface.Turn`."""

    def __init__(
        self, context: RunContext, command_runner: CommandRunner, subtasks: RunSubtasks | None, *, speaks: bool
    ) -> None:
        """Create the turn. `speaks`: the agent has a model, and its answer is what it says."""
        self._record = context.record
        self._run = context.run
        self._claim = context.claim
        self._slot = context.slot
        self._variables = context.variables
        self._settings = context.settings
        self._command_runner = command_runner
        self._subtasks = subtasks
        self._speaks = speaks
        self._begun_before: set[str] = set()
        self._calls: dict[str, Call] = {}
        self._args_left = MAX_ARGS
        self._budget = OutputBudget(context.settings.task_output_limit - context.task.kept_output)
        self._gate = Gate(context, command_runner)
        self._transcript = Transcript(context.record, context.run, context.variables, self._budget, context.settings)

    @asynccontextmanager
    async def speaking(self) -> AsyncIterator[None]:
        """Accept the agent's answer and thoughts while the block runs; at its end, all of them have been written."""
        if not self._speaks:
            yield
            return
        async with self._transcript.writer.serving():
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self._transcript.end()

    @property
    def message(self) -> str:
        """The message of this turn."""
        return self._claim.turn.message

    @property
    def system_prompt(self) -> str | None:
        """The task's system prompt."""
        return self._claim.task.system_prompt

    @property
    def mcp_servers(self) -> Sequence[str]:
        """The names of the task's MCP servers."""
        task = self._claim.task
        return sandbox_policy.mcp_servers(self._settings, task.agent, task.demands)

    @property
    def workspace(self) -> Path:
        """The folder to work in."""
        return self._command_runner.workspace

    async def history(self) -> list[HistoryMessage]:
        """Return the conversation before this turn, oldest first."""
        return [HistoryMessage(each.role, each.content) for each in await self._record.history()]

    async def recall(self) -> Mapping[str, Any] | None:
        """Return the state last remembered in this turn; None if there is none."""
        return _loads(await self._record.recall())

    async def recall_earlier(self) -> Mapping[str, Any] | None:
        """Return the state last remembered in the task's previous turn; None if there is none."""
        return _loads(await self._record.recall(back=1))

    async def remember(self, state: Mapping[str, Any], usage: Usage | None = None) -> None:
        """Store `state`, masked, for a later run, and add `usage`.

        Raises RemitError (LIMIT_EXCEEDED): above MAX_STATE characters of JSON.
        """
        text = await self._variables.masker.json_text(state)
        if len(text) > MAX_STATE:
            raise RemitError(
                Code.LIMIT_EXCEEDED,
                f"the agent has {len(text)} characters to remember, at most {MAX_STATE} are kept; begin a new task",
            )
        used = tasks.TurnUsage(usage.requests, usage.input_tokens, usage.output_tokens) if usage else None
        await self._record.remember(text, used)

    async def warn(self, message: str, key: str) -> None:
        """Write a warning about a call to the task's log, masked."""
        warning = RunEvent(EventKind.WARNING, {"message": self.masked(message)}, call_id=self._calls[key].id)
        await self._record.append_events(self._run, [warning])

    async def set_process_bound(self, bound: bool) -> None:
        """Record whether the run's work would be lost with its process."""
        await self._record.set_process_bound(bound)

    async def say(self, text: str) -> None:
        """Write a piece of the answer to the task's log as it comes."""
        await self._transcript.say(text)

    async def think(self, description: str, subject: str = "", *, goes_on: bool = False) -> None:
        """Write one thought to the task's log: whole, or a piece that `goes_on` in the next."""
        await self._transcript.think(description, subject, goes_on=goes_on)

    async def unlock(self) -> None:
        """Load the values of the task's secrets. Raises SecretsLost."""
        await self._variables.unlock()

    def fill_in(self, text: str) -> str:
        """Return `text` with its templates resolved."""
        return self._variables.fill_in(text)

    async def mask(self, value: Any) -> Any:
        """Return a JSON value with every secret in its texts masked."""
        return await self._variables.masker.json(value)

    async def mask_beginning(self, text: str) -> str:
        """Mask a text whose end was cut off; an end that may begin a secret is dropped."""
        return await self._variables.masker.beginning(text)

    async def mask_within(self, text: str, start: int, stop: int) -> str:
        """Return `text[start:stop]`, masked, including parts of secrets that are cut by its ends."""
        return await self._variables.masker.text(text, start, stop)

    async def propose(self, proposals: Sequence[Proposal]) -> None:
        """Record calls, in order, before any of them is made. Raises RemitError (LIMIT_EXCEEDED): above MAX_ARGS."""
        await self._transcript.pause()
        self._take_room(proposals)
        first = not self._calls
        new = [await self._gate.new_call(each) for each in proposals]
        self._know(await self._record.announce_calls(new))
        if first:
            self._begun_before = {key for key, call in self._calls.items() if call.status is CallStatus.EXECUTING}

    def calls(self) -> Mapping[str, KnownCall]:
        """Return all calls of the turn by their keys, in order."""
        return {key: _known_call(call) for key, call in self._calls.items()}

    async def is_same(self, key: str, args: Mapping[str, Any]) -> bool:
        """Return whether these are the arguments of a known call."""
        return await self._gate.is_same(self._calls[key], args)

    def tool_specs(self) -> Sequence[ToolSpec]:
        """Return the sub-task tools; empty if the agent may not create sub-tasks."""
        return self._subtasks.tool_specs() if self._subtasks else ()

    async def use(self, key: str, tool: str, args: Mapping[str, Any]) -> ToolResult:
        """Execute a call that may proceed with one of these tools. Raises Awaiting: while it waits for a sub-task."""
        assert self._subtasks
        args = await self._subtasks.waited(args, has_waited=key in self._begun_before)
        return await self.perform(key, partial(self._subtasks.use, tool, args))

    async def record_missing_tool(self, tool: str) -> None:
        """Record that the agent called a tool it does not have. One of the sub-task tools goes to the task's log."""
        if self._subtasks:
            await self._subtasks.use(tool, {})

    async def call(self, key: str, *, reads: bool = False) -> Permission:
        """Pass the approval gate. Raises Suspended: while the call waits for approval; OutOfCalls."""
        if self._calls[key].status is CallStatus.CANCELLED:
            return Permission.REFUSED  # needs no secrets, so it works even if they are lost
        if self._calls[key].status is CallStatus.PENDING:
            await self._command_runner.wait_for_resources()
        call = await self._begin(key, reads=reads)
        if call.status is CallStatus.AWAITING_APPROVAL:
            raise Suspended
        return _permission(call)

    async def wait(self, key: str) -> Permission:
        """Pass the same gate for an agent whose process must stay: returns once the call is decided."""
        while (call := await self._begin(key, stays=True)).status is CallStatus.AWAITING_APPROVAL:
            await self._decided(key)
        return _permission(call)

    async def record_unasked(self, key: str) -> Permission:
        """Record that the agent makes this call without having asked."""
        return _permission(await self._begin(key, asked=False))

    async def amend(self, proposal: Proposal) -> None:
        """Change the arguments and description of a call that has not begun."""
        self._take_room([proposal])
        self._calls[proposal.key] = await self._record.amend_call(await self._gate.new_call(proposal))

    async def renew(self, key: str) -> None:
        """Repeat an interrupted call: whether it may proceed is decided again."""
        self._know(await self._record.renew_call(self._calls[key].id))

    def secret_in(self, text: str) -> Steps[str | None]:
        """Return, in steps, the name of a secret in `text`, in any encoded form, even one too short to be masked.

        The name is empty if something would be masked that is no whole value; None if there is nothing.
        """
        masker = self._variables.masker
        if name := (yield from masker.containing(text)):
            return name
        short = (name for name in masker.too_short if self._variables.secrets.get(name, "\0") in text)
        if name := next(short, None):
            return name
        return "" if (yield from masker.masking(text)) != text else None

    async def run(self, key: str, ran: RunCommand) -> CommandResult:
        """Execute a call that may proceed as a command in the sandbox, and record how it ended."""
        call = self._calls[key]
        handler = (
            None if self._speaks else await self._command_runner.callback_handler()
        )  # whose token is masked in the output
        output = self._output()
        kind = EventKind.OUTPUT if self._speaks else EventKind.CONTENT
        writer = EventWriter(self._record, self._run, self._settings.event_limit, kind=kind, call_id=call.id)
        try:
            with logs.about(call=call.id):
                ended = await self._command_runner.run(self._gate.command(call, ran), output, writer, call.id, handler)
        except RemitError as error:
            text = joined(filter(None, (output.text, self.masked(error.message))), "\n")
            await self._end(key, CallStatus.ERROR, text, dropped=output.dropped)
            raise
        except BaseException:
            self._record.keep_output(call.id, output.text, output.dropped)
            raise
        status = CallStatus.ERROR if ended.status or ended.limit else CallStatus.SUCCESS
        ran_us = int(ended.seconds * 1_000_000)
        await self._end(key, status, output.text, dropped=output.dropped, exit_status=ended.status, ran_us=ran_us)
        return CommandResult(ended.status, output.text, ended.limit)

    async def perform(self, key: str, action: Callable[[], Awaitable[ToolResult]]) -> ToolResult:
        """Execute a call that may proceed with `action`, and record how it ended."""
        try:
            result = await action()
        except RemitError as error:
            result = ToolResult(error.message, failed=True)
        return await self.end(key, result)

    async def end(self, key: str, result: ToolResult) -> ToolResult:
        """Record the end of a call that is no command. Returns the result with its text as it was kept."""
        output = self._output()
        await output.take(result.text)
        await self._end(
            key, CallStatus.ERROR if result.failed else CallStatus.SUCCESS, output.text, dropped=output.dropped
        )
        return ToolResult(output.text, result.failed)

    @asynccontextmanager
    async def talk(self, program: Program) -> AsyncIterator[ProcessIO]:
        """Start a program in the sandbox and yield its input and output; it is ended with the block."""
        await self.unlock()
        await self._command_runner.wait_for_resources()
        async with self._command_runner.talk(program) as process_io:
            yield process_io

    def masked(self, text: str) -> MaskedText:
        """Return a short text about the run with every secret masked."""
        return self._variables.masker.short(text)

    def _take_room(self, proposals: Sequence[Proposal]) -> None:
        """Count the memory of calls' arguments. Raises RemitError (LIMIT_EXCEEDED): above MAX_ARGS."""
        self._args_left -= sum(memory(each.args) for each in proposals)
        if self._args_left < 0:
            raise RemitError(
                Code.LIMIT_EXCEEDED, f"the arguments of the turn's calls take more than {MAX_ARGS} bytes of memory"
            )

    async def _begin(self, key: str, *, asked: bool = True, reads: bool = False, stays: bool = False) -> Call:
        call = await self._gate.begin(self._calls[key], asked=asked, reads=reads, stays=stays)
        self._calls[key] = call
        return call

    async def _decided(self, key: str) -> None:
        """Wait until a call is decided; the task's status says meanwhile that it waits."""
        while True:
            with self._record.changes.expected(self._run.task_id) as change:
                waits, calls = await self._record.wait_for_decision()
                self._know(calls)
                if self._calls[key].status is not CallStatus.AWAITING_APPROVAL:
                    return
                with self._slot.released() if waits else nullcontext():  # an agent that still works keeps its slot
                    await change.wait()

    def _know(self, calls: Sequence[Call]) -> None:
        self._calls = {call.key: call for call in calls}

    def _output(self) -> CommandOutput:
        return CommandOutput(self._variables.masker, self._budget.limit(self._settings.output_limit))

    async def _end(self, key: str, status: CallStatus, text: MaskedText, **about: int) -> None:
        self._budget.take(text)
        result = CallResult(status, text, **about)
        await self._record.end_call(self._calls[key].id, result)
        with logs.about(call=self._calls[key].id):
            _log.info("the call ended: %s", status)
        self._calls[key] = replace(self._calls[key], status=status, output=text, exit_status=result.exit_status)


def _permission(call: Call) -> Permission:
    """Return what a call's status permits. Raises OutOfCalls: for one that may not proceed and waits for nobody."""
    if call.status is CallStatus.PENDING:
        raise OutOfCalls
    return _PERMISSIONS[call.status]


def _known_call(call: Call) -> KnownCall:
    return KnownCall(
        key=call.key,
        tool_name=call.tool_name,
        args=call.args,
        status=call.status.value,
        approved=call.outcome in ("proceed_once", "proceed_always"),
        output=call.output or "",
        exit_status=call.exit_status,
        reason=call.reason,
        is_hidden=call.outcome == HIDDEN,
        is_cut_off=call.status is CallStatus.ERROR and (call.reason or "").startswith(CUT_OFF),
    )


def _loads(text: str | None) -> Mapping[str, Any] | None:
    return None if text is None else json.loads(text)
