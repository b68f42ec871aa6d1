"""Scheduler: claims pending tasks in queue order, runs them, and has the end of each run written."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import anyio
from anyio.abc import TaskGroup

from server import logs
from server.agents.endings import Awaiting, OutOfCalls, Stopped, Suspended
from server.agents.interface import Agent
from server.errors import Code, RemitError
from server.plain_words import shortage
from server.round_robin import LANE
from server.tasks.execution.agent_caller import AgentCaller, SubtaskApi, may_delegate
from server.tasks.execution.commands import CommandRunner
from server.tasks.execution.context import RunContext
from server.tasks.execution.ends import EndWriter, FinishedRun, where
from server.tasks.execution.record import RunRecord
from server.tasks.execution.shortage import ShortageWait
from server.tasks.execution.slot import Slot
from server.tasks.execution.subtasks import RunSubtasks
from server.tasks.execution.turn import ServerTurn
from server.tasks.secrets import masking
from server.tasks.secrets.variables import Variables
from server.tasks.secrets.vault import SecretsLost
from server.tasks.services import Services
from server.tasks.workspaces.losses import MissingFolders
from server.tasks.workspaces.selection import check_tier
from storage.errors import DatabaseError
from storage.records.outcomes import Interruption, Pause, RunOutcome, TurnEnd, Wait
from storage.records.queue import SlotDemand
from storage.records.states import Status
from storage.records.tasks import Claim
from storage.times import now

_log = logging.getLogger(__name__)


MAX_ERROR = 4000
"""Characters of a stored error; the shell agent's error repeats 2,000 of output."""

DATABASE_FAILED = "the database failed"
"""What interrupted a run that could not wait for the database, in words."""

PATIENCE = 1.0
"""Seconds before a failed database operation is tried again."""


class Scheduler:
    """Runs pending tasks, at most `settings.max_running` at once."""

    def __init__(self, services: Services, subtask_api: SubtaskApi, owner: str) -> None:
        """`owner` is the name of this server in the records of its runs."""
        self._services = services
        self._store = services.store
        self._settings = services.settings
        self._losses = MissingFolders(services.store, services.workspaces)
        self._owner = owner
        self._subtask_api = subtask_api
        self._running: dict[str, Slot] = {}
        self._claiming = anyio.Lock()
        self._stopped_early: set[str] = set()
        """Tasks that were stopped while a claim was under way; the run being claimed may be of one of them."""

        self._claims = 0
        self._served: dict[str, int] = {}
        """The number of the last claim of each principal: who was served longest ago goes first."""

        self._wake = anyio.Event()
        self._waits = anyio.Event()
        self.ends = EndWriter(services.store, self.stop, self.abandon, lambda: self._waits.set())

    @property
    def running(self) -> int:
        """The number of runs, including those that wait for a decision and those whose end is still to be written."""
        return len(self._running) + len(self.ends)

    def poke(self) -> None:
        """Look for work, because a task may have become pending."""
        self._wake.set()

    def next_wait(self) -> anyio.Event:
        """Return an event that is set when one more task waits for others."""
        self._waits = anyio.Event()
        return self._waits

    def stop(self, task_id: str) -> None:
        """End the run of a task. Its status changes once its processes are gone."""
        if slot := self._running.get(task_id):
            slot.stop()
        elif self._claiming.locked():
            self._stopped_early.add(task_id)

    @contextmanager
    def stopping(self, task_ids: Iterable[str]) -> Iterator[None]:
        """End the runs of tasks; their ends are written only after the block has written why."""
        left = anyio.Event()
        for task_id in task_ids:
            if slot := self._running.get(task_id):
                slot.before_end.append(left)
            self.stop(task_id)
        try:
            yield
        finally:
            left.set()

    async def ended(self, task_ids: Iterable[str]) -> None:
        """Wait until the runs of these tasks have ended, their processes included."""
        for slot in [self._running[task_id] for task_id in task_ids if task_id in self._running]:
            await slot.ended.wait()

    async def abandon(self, task_ids: Iterable[str]) -> None:
        """Record the end of cancelled tasks that have no run. Raises RemitError."""
        async with self._claiming:  # a run that is being claimed is then known
            nobodys = [each for each in task_ids if each not in self._running and not self.ends.holds(each)]
        if nobodys:
            await self._store.abandon_runs(nobodys)

    async def serve(self) -> None:
        """Start runs until cancelled; then end all runs, wait for them, and write what is left."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self.ends.serve)
                await self._start_runs(group)
        finally:
            await self.ends.close()

    async def _start_runs(self, group: TaskGroup) -> None:
        try:
            while True:
                self._wake = anyio.Event()
                await self._start_what_fits(group)
                await self._wake.wait()
        finally:
            for slot in self._running.values():
                slot.ending.set()

    async def _start_what_fits(self, group: TaskGroup) -> None:
        while True:
            try:
                room = await self._room()
                slot = None if room is None else await self._claimed(room)
            except (RemitError, OSError) as error:
                _log.error("no task can be started: %s", error)
                await anyio.sleep(PATIENCE)
                continue
            if slot is None:
                return
            group.start_soon(self._work, slot)

    async def _claimed(self, waiting: set[int]) -> Slot | None:
        """Claim one more run. It is registered before anything else can happen, so that a cancellation finds it."""
        async with self._claiming:
            claim = await self._store.claim_run(self._owner, self._demand(waiting))
            stopped, self._stopped_early = self._stopped_early, set()
        if claim is None:
            return None
        slot = Slot(claim, self.poke, hands_on=may_delegate(self._settings, claim))
        self._running[claim.task.id] = slot
        self._claims += 1
        self._served[claim.task.principal] = self._claims
        if claim.task.id in stopped or self.ends.cancels(claim.task.id):
            slot.stop()
        return slot

    async def _room(self) -> set[int] | None:
        """Return the numbers of parent tasks whose sub-tasks go first; None if every slot is taken.

        A run with active sub-tasks may wait for them, so it counts as holding no slot: otherwise nothing would ever go
        on. Its sub-tasks go first when all slots are held, so that few such runs are open at once. Sub-tasks that wait
        for a person do not count as active: the parent has its slot again until they go on.
        """
        held = [slot for slot in self._running.values() if not slot.is_free]
        if len(held) < self._settings.max_running:
            return set()
        waiting = await self._store.having_active_subtasks([slot.claim.run.seq for slot in held if slot.hands_on])
        return waiting if len(held) - len(waiting) < self._settings.max_running else None

    def _demand(self, waiting: set[int]) -> SlotDemand:
        places = Counter(slot.claim.task.principal for slot in self._running.values() if not slot.is_free)
        shares = {principal: (places[principal], last) for principal, last in self._served.items()}
        return SlotDemand(full=self._full(), waiting=waiting, shares=shares)

    def _full(self) -> list[str]:
        """Return the ids of parents that have as many running sub-tasks as the settings allow."""
        parents = Counter(slot.claim.task.parent for slot in self._running.values() if not slot.is_free)
        most = self._settings.subtasks.max_running
        return [parent for parent, count in parents.items() if parent is not None and count >= most]

    async def _work(self, slot: Slot) -> None:
        run = slot.claim.run
        with logs.about(task=run.task_id, run=run.fence):
            await self._run(slot)
            _log.info("the run ended after %.1f s of work", slot.ran_us / 1_000_000)

    async def _run(self, slot: Slot) -> None:
        LANE.set(slot)
        record = RunRecord(self._store, slot.claim.run, slot)
        outcome: RunOutcome = Interruption()  # if the server ends
        try:
            with slot.scope:
                outcome = await self._attempt(slot, record)
            if slot.scope.cancelled_caught or (slot.scope.cancel_called and isinstance(outcome, Pause | Interruption)):
                outcome = TurnEnd(Status.CANCELLED)
        finally:
            slot.ended.set()
            with anyio.CancelScope(shield=True):
                for before in slot.before_end:
                    await before.wait()
                await self.ends.settle(FinishedRun(slot.claim, outcome, slot.ran_us, record.unwritten))
            del self._running[slot.claim.task.id]
            self.poke()

    async def _attempt(self, slot: Slot, record: RunRecord) -> RunOutcome:
        """Run the agent. Returns how the run ended; only the server's own end propagates, as cancellation."""
        claim = slot.claim
        left = claim.task.timeout_seconds - claim.turn.ran_us / 1_000_000
        variables = Variables(claim, self._services.vault, self._store)
        context = RunContext(
            slot=slot,
            record=record,
            variables=variables,
            shortage=ShortageWait(record, slot),
            settings=self._settings,
        )
        try:
            agent = self._agent(claim)
            self._services.folders.check(claim.workspace)
            await self._losses.note(claim)
            async with self._services.worktrees.at_work(claim, variables), variables.shared():
                turn = await context.shortage.patiently(partial(self._turn, context, agent), may_repeat=lambda: True)
                with slot.limited(left), logs.about(mask=turn.redact):
                    async with turn.speaking():
                        await agent.work(turn)
        except Suspended:
            return Pause.SUSPENDED
        except Awaiting as awaiting:
            return Wait({task_id: now() + int(each * 1_000_000) for task_id, each in awaiting.seconds.items()})
        except OutOfCalls:
            return Pause.PAUSED
        except SecretsLost:
            return Pause.BLOCKED
        except Stopped:
            return TurnEnd(Status.CANCELLED)
        except DatabaseError as error:
            cut_off = Interruption(by=DATABASE_FAILED)
            return cut_off if error.passes else TurnEnd(Status.FAILED, error.code, error.message)
        except RemitError as error:
            return TurnEnd(Status.FAILED, error.code, _cut(await masking.redacted(variables.redactor, error.message)))
        except TimeoutError:
            limit = f"the task reached its limit of {claim.task.timeout_seconds} s of work (timeoutSeconds)"
            return TurnEnd(Status.FAILED, Code.TIMEOUT, limit)
        except Exception as error:
            _log.error("run of task %s failed: %s\n%s", claim.task.id, type(error).__name__, where(error))
            unknown = f"internal error ({type(error).__name__}); see server.log"
            return TurnEnd(Status.FAILED, Code.EXECUTION_ERROR, str(shortage(error) or unknown))
        return TurnEnd(Status.COMPLETED)

    def _agent(self, claim: Claim) -> Agent:
        agent = self._services.agents.get(claim.task.agent)
        if agent is None:
            raise RemitError(Code.AGENT_UNAVAILABLE, f"this server has no agent {claim.task.agent!r} any more")
        return agent

    async def _turn(self, context: RunContext, agent: Agent) -> ServerTurn:
        """Find the sandbox, and return the turn as the agent sees it."""
        claim = context.claim
        sandbox = await self._services.sandbox()
        check_tier(claim.workspace, sandbox.tier, allow_hooks=bool((claim.task.demands or {}).get("allowHooks")))
        agent_caller = AgentCaller(self._store, claim, context.variables)
        subtasks = RunSubtasks(self._subtask_api, agent_caller) if context.slot.hands_on else None
        command_runner = CommandRunner(context, sandbox, self._services.workspaces, subtasks)
        return ServerTurn(context, command_runner, subtasks, speaks=agent.speaks)


def _cut(message: str) -> str:
    """Cut an error for storage. It is masked before, so that no part of a secret is left."""
    return message if len(message) <= MAX_ERROR else f"{message[:MAX_ERROR]} …"
