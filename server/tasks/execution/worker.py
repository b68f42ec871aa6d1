"""Worker: takes one claimed run to its recorded end."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from server import logs
from server.agents.endings import Awaiting, OutOfCalls, Stopped, Suspended
from server.agents.interface import Agent
from server.errors import Code, RemitError
from server.plain_words import shortage
from server.round_robin import LANE
from server.tasks.execution.agent_caller import AgentCaller, SubtaskApi
from server.tasks.execution.commands import CommandRunner
from server.tasks.execution.context import RunContext
from server.tasks.execution.ends import FinishedRun, where
from server.tasks.execution.record import RunRecord
from server.tasks.execution.shortage import ShortageWait
from server.tasks.execution.slot import Slot
from server.tasks.execution.subtasks import RunSubtasks
from server.tasks.execution.turn import ServerTurn
from server.tasks.secrets.masking import joined, own_words, part
from server.tasks.secrets.variables import Variables
from server.tasks.secrets.vault import SecretsLost
from server.tasks.services import Services
from server.tasks.workspaces.losses import MissingFolders
from server.tasks.workspaces.selection import check_tier
from storage.errors import DatabaseError
from storage.records.outcomes import Interrupter, Interruption, Pause, RunOutcome, TurnEnd, Wait
from storage.records.states import Status
from storage.times import now

_log = logging.getLogger(__name__)

MAX_ERROR = 4000
"""Characters of a stored error; the shell agent's error repeats 2,000 of output."""

Settle = Callable[[FinishedRun], Awaitable[None]]
"""Writes how a run ended, or keeps that until it can be written."""


class Worker:
    """Does runs. It knows neither the queue nor other runs: a worker on another machine would do the same."""

    def __init__(self, services: Services, subtask_api: SubtaskApi, settle: Settle) -> None:
        self._services = services
        self._subtask_api = subtask_api
        self._settle = settle
        self._losses = MissingFolders(services.store, services.workspaces)

    async def work(self, slot: Slot) -> None:
        """Do the run of a slot, and have its end settled, also if this is cancelled, as the server ends."""
        LANE.set(slot)
        run = slot.claim.run
        with logs.about(task=run.task_id, run=run.fence):
            await self._to_its_end(slot)
            _log.info("the run ended after %.1f s of work", slot.ran_us / 1_000_000)

    async def _to_its_end(self, slot: Slot) -> None:
        context = self._context(slot)
        outcome: RunOutcome = Interruption()  # if the server ends
        try:
            with slot.scope:
                outcome = await self._outcome(context)
            if slot.scope.cancelled_caught or (slot.scope.cancel_called and isinstance(outcome, Pause | Interruption)):
                outcome = TurnEnd(Status.CANCELLED)
        finally:
            slot.ended.set()
            with anyio.CancelScope(shield=True):
                for before in slot.before_end:
                    await before.wait()
                await self._settle(FinishedRun(slot.claim.run, outcome, slot.ran_us, context.record.unwritten))

    def _context(self, slot: Slot) -> RunContext:
        record = RunRecord(self._services.store, slot.claim.run, slot)
        variables = Variables(slot.claim, self._services.vault, self._services.store)
        return RunContext(
            slot=slot,
            record=record,
            variables=variables,
            shortage=ShortageWait(record, slot, variables.masker),
            settings=self._services.settings,
        )

    async def _outcome(self, context: RunContext) -> RunOutcome:
        """Do the turn. Returns how the run ended; only a cancellation propagates."""
        try:
            await self._do(context)
        except Exception as error:
            return await _outcome_of(error, context)
        return TurnEnd(Status.COMPLETED)

    async def _do(self, context: RunContext) -> None:
        """Prepare what the turn needs, and have the agent work on it."""
        claim, services = context.claim, self._services
        left = claim.task.timeout_seconds - claim.turn.ran_us / 1_000_000
        agent = self._agent(claim.task.agent)
        services.folders.check(claim.workspace)
        await self._losses.note(claim)
        async with services.worktrees.at_work(claim, context.variables), context.variables.shared():
            turn = await context.shortage.patiently(partial(self._turn, context, agent), may_repeat=lambda: True)
            with context.slot.limited(left), logs.about(mask=turn.masked):
                async with turn.speaking():
                    await agent.work(turn)

    def _agent(self, agent_id: str) -> Agent:
        agent = self._services.agents.get(agent_id)
        if agent is None:
            raise RemitError(Code.AGENT_UNAVAILABLE, f"this server has no agent {agent_id!r} any more")
        return agent

    async def _turn(self, context: RunContext, agent: Agent) -> ServerTurn:
        """Find the sandbox, and return the turn as the agent sees it."""
        claim = context.claim
        sandbox = await self._services.sandbox()
        check_tier(claim.workspace, sandbox.tier, allow_hooks=claim.task.demands.allow_hooks)
        agent_caller = AgentCaller(self._services.store, claim, context.variables)
        subtasks = RunSubtasks(self._subtask_api, agent_caller) if context.slot.hands_on else None
        command_runner = CommandRunner(context, sandbox, self._services.workspaces, subtasks)
        return ServerTurn(context, command_runner, subtasks, speaks=agent.speaks)


async def _outcome_of(error: Exception, context: RunContext) -> RunOutcome:
    """Return the outcome of a run that ended with an exception."""
    match error:
        case Suspended():
            return Pause.SUSPENDED
        case Awaiting():
            return Wait({task_id: now() + int(each * 1_000_000) for task_id, each in error.seconds.items()})
        case OutOfCalls():
            return Pause.PAUSED
        case SecretsLost():
            return Pause.BLOCKED
        case Stopped():
            return TurnEnd(Status.CANCELLED)
        case DatabaseError() if error.passes:
            return Interruption(by=Interrupter.DATABASE)
        case _:
            return await _failure(error, context)


async def _failure(error: Exception, context: RunContext) -> TurnEnd:
    """Return the end of a turn that failed. Its error is masked before it is cut: no part of a secret is left."""
    code, message = _described(error, context)
    masked = await context.variables.masker.text(message)
    cut = joined([part(masked, 0, MAX_ERROR), own_words(" …")])
    return TurnEnd(Status.FAILED, code, masked if len(masked) <= MAX_ERROR else cut)


def _described(error: Exception, context: RunContext) -> tuple[Code, str]:
    """Return the code of an error, and what is told of it."""
    match error:
        case RemitError():
            return error.code, error.message
        case TimeoutError():
            return (
                Code.TIMEOUT,
                f"the task reached its limit of {context.task.timeout_seconds} s of work (timeoutSeconds)",
            )
        case _:
            _log.error("run of task %s failed: %s\n%s", context.task.id, type(error).__name__, where(error))
            unknown = f"internal error ({type(error).__name__}); see server.log"
            return Code.EXECUTION_ERROR, str(shortage(error) or unknown)
