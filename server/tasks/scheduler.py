"""Who works when: claims what waits, first come first served, and settles how each run ends."""

import logging
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import anyio
from anyio.abc import TaskGroup

from server.agents.endings import Awaiting, OutOfCalls, Stopped, Suspended
from server.agents.interface import Agent
from server.config import Settings
from server.errors import Code, RemitError
from server.runner.sandbox import Sandbox
from server.runner.workspace import Workspaces
from server.tasks import masking
from server.tasks.delegate import Delegate, Desk, may_delegate
from server.tasks.execution import Execution
from server.tasks.folders import Folders, check_tier
from server.tasks.place import Place
from server.tasks.secrets import Secrets, SecretsLost
from server.tasks.subtasks import Subtasks
from server.tasks.variables import Variables
from server.tasks.work import Work
from server.tasks.worktrees import Worktrees
from storage.lanes import LANE
from storage.records import Claim, Run, RunEnd
from storage.states import Status
from storage.store import Store, now

_log = logging.getLogger(__name__)


class Pause(Enum):
    """A run that ended without ending its turn."""

    SUSPENDED = "suspended"
    PAUSED = "paused"
    BLOCKED = "blocked"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Wait:
    """A run that ended to wait for other tasks: until when at most, by their ids."""

    until: Mapping[str, int]


SETTLE_TRIES = 10
"""How often the end of a run is written before it is left to the next start of the server."""

MAX_ERROR = 4000
"""Characters of an error: the shell agent's repeats 2,000 of output."""

PATIENCE = 1.0
"""Seconds before the database is tried again."""


class Scheduler:
    """Runs the tasks that are pending, at most `settings.max_running` at once."""

    def __init__(
        self,
        store: Store,
        agents: Mapping[str, Agent],
        secrets: Secrets,
        sandbox: Callable[[], Awaitable[Sandbox]],
        workspaces: Workspaces,
        worktrees: Worktrees,
        folders: Folders,
        settings: Settings,
        owner: str,
        desk: Desk,
    ) -> None:
        self._store = store
        self._agents = agents
        self._secrets = secrets
        self._sandbox = sandbox
        self._workspaces = workspaces
        self._worktrees = worktrees
        self._folders = folders
        self._settings = settings
        self._owner = owner
        self._desk = desk
        self._running: dict[str, Place] = {}
        self._cancelled: set[str] = set()
        self._wake = anyio.Event()
        self._waits = anyio.Event()

    @property
    def running(self) -> int:
        """How many runs are under way, those included whose process waits for a decision."""
        return len(self._running)

    def poke(self) -> None:
        """Look for work: something may have become pending."""
        self._wake.set()

    def next_wait(self) -> anyio.Event:
        """Set when one more task waits for others."""
        self._waits = anyio.Event()
        return self._waits

    def stop(self, task_id: str) -> None:
        """End the run of a task; its status changes once its processes are gone."""
        self._cancelled.add(task_id)
        if place := self._running.get(task_id):
            place.scope.cancel()

    async def serve(self) -> None:
        """Start runs until cancelled; then end them all, and wait until they have ended."""
        async with anyio.create_task_group() as group:
            while True:
                self._wake = anyio.Event()
                await self._start_what_fits(group)
                await self._wake.wait()

    async def _start_what_fits(self, group: TaskGroup) -> None:
        while (room := await self._room()) is not None:
            try:
                claim = await self._store.claim_run(self._owner, full=self._full(), waiting=room)
            except RemitError as error:
                _log.error("no task can be started: %s", error.message)
                await anyio.sleep(PATIENCE)
                continue
            if claim is None:
                return
            # Known as running before anything else can happen, so that a cancellation finds it.
            self._running[claim.task.id] = Place(claim, self.poke, hands_on=may_delegate(self._settings, claim))
            group.start_soon(self._work, claim)

    async def _room(self) -> set[int] | None:
        """None where every place is taken, else whose sub-tasks go first: a run that has active ones holds no place.

        It may wait for them, and then nothing would ever go on; they go first, so that few such runs are open at once.
        Those that wait for a person do not count: it has its place again, and gives it back when they go on.
        """
        held = [place for place in self._running.values() if not place.is_free]
        if len(held) < self._settings.max_running:
            return set()
        waiting = await self._store.having_active_subtasks([place.claim.run.seq for place in held if place.hands_on])
        return waiting if len(held) - len(waiting) < self._settings.max_running else None

    def _full(self) -> list[str]:
        """The tasks of whose sub-tasks no more may be at work at the same time."""
        parents = Counter(place.claim.task.parent for place in self._running.values() if not place.is_free)
        most = self._settings.subtasks.max_running
        return [parent for parent, count in parents.items() if parent is not None and count >= most]

    async def _work(self, claim: Claim) -> None:
        place = self._running[claim.task.id]
        LANE.set(place)
        if claim.task.id in self._cancelled:
            place.scope.cancel()
        end: RunEnd | Pause | Wait = Pause.INTERRUPTED  # what stands if the server ends
        try:
            with place.scope:
                end = await self._attempt(claim, place)
            if place.scope.cancelled_caught:
                end = RunEnd(Status.CANCELLED)
        finally:
            with anyio.CancelScope(shield=True):
                await self._settle(claim, end, place.ran_us)
            if self._running.get(claim.task.id) is place:
                del self._running[claim.task.id]
                self._cancelled.discard(claim.task.id)
            self.poke()

    async def _attempt(self, claim: Claim, place: Place) -> RunEnd | Pause | Wait:
        """Have the agent work; every way that can end is an answer, save the end of the server."""
        left = claim.task.timeout_seconds - claim.turn.ran_us / 1_000_000
        variables = Variables(claim, self._secrets, self._store)
        try:
            agent = self._agent(claim)
            self._folders.check(claim.workspace)
            async with self._worktrees.at_work(claim, variables), variables.shared():
                work = await self._prepare(claim, place, agent, variables)
                with place.limited(left):
                    async with work.speaking():
                        await agent.work(work)
        except Suspended:
            return Pause.SUSPENDED
        except Awaiting as awaiting:
            return Wait({task_id: now() + int(each * 1_000_000) for task_id, each in awaiting.seconds.items()})
        except OutOfCalls:
            return Pause.PAUSED
        except SecretsLost:
            return Pause.BLOCKED
        except Stopped:
            return RunEnd(Status.CANCELLED)
        except RemitError as error:
            return RunEnd(Status.FAILED, error.code, _cut(await masking.redacted(variables.redactor, error.message)))
        except TimeoutError:
            limit = f"the task reached its limit of {claim.task.timeout_seconds} s of work (timeoutSeconds)"
            return RunEnd(Status.FAILED, Code.TIMEOUT, limit)
        except Exception as error:
            _log.error("run of task %s failed: %s\n%s", claim.task.id, type(error).__name__, _where(error))
            return RunEnd(
                Status.FAILED, Code.EXECUTION_ERROR, f"internal error ({type(error).__name__}); see server.log"
            )
        return RunEnd(Status.COMPLETED)

    def _agent(self, claim: Claim) -> Agent:
        agent = self._agents.get(claim.task.agent)
        if agent is None:
            raise RemitError(Code.AGENT_UNAVAILABLE, f"this server has no agent {claim.task.agent!r} any more")
        return agent

    async def _prepare(self, claim: Claim, place: Place, agent: Agent, variables: Variables) -> Work:
        sandbox = await self._sandbox()
        check_tier(claim.workspace, sandbox.tier, allow_hooks=bool((claim.task.demands or {}).get("allowHooks")))
        subtasks = Subtasks(self._desk, Delegate(self._store, claim, variables)) if place.hands_on else None
        execution = Execution(self._store, claim, sandbox, self._workspaces, variables, self._settings, subtasks)
        return Work(
            self._store, claim, place, execution, variables, self._settings, speaks=agent.speaks, subtasks=subtasks
        )

    async def _settle(self, claim: Claim, end: RunEnd | Pause | Wait, ran_us: int) -> None:
        """Write how a run ended. What cannot be written is left to the next start of the server: others go on."""
        for _ in range(SETTLE_TRIES):
            try:
                if await self._written(claim.run, end, ran_us) in (Status.FAILED, Status.CANCELLED):
                    await self._stop_beneath(claim)
            except RemitError as error:
                _log.warning("run of task %s: %s", claim.task.id, error.message)
                if error.code is Code.CONFLICT:
                    return
                await anyio.sleep(PATIENCE)
            except Exception as error:
                _log.error(
                    "run of task %s cannot be settled: %s\n%s", claim.task.id, type(error).__name__, _where(error)
                )
                return
            else:
                return

    async def _stop_beneath(self, claim: Claim) -> None:
        """End the runs of what was cancelled along with a task."""
        for task_id in await self._store.stopping_beneath(claim.run):
            self.stop(task_id)

    async def _written(self, run: Run, end: RunEnd | Pause | Wait, ran_us: int) -> Status:
        match end:
            case Wait(until):
                status = await self._store.wait_run(run, until, ran_us)
                self._waits.set()
                return status
            case Pause.SUSPENDED:
                return await self._store.suspend_run(run, ran_us)
            case Pause.PAUSED:
                return await self._store.pause_run(run, ran_us)
            case Pause.BLOCKED:
                return await self._store.block_run(run, ran_us)
            case Pause.INTERRUPTED:
                return await self._store.interrupt_run(run, ran_us)
            case RunEnd():
                return await self._store.finish_run(run, end, ran_us)


def _cut(message: str) -> str:
    """An error as it is kept; cut once it is masked, so that no part of a secret is left over."""
    return message if len(message) <= MAX_ERROR else f"{message[:MAX_ERROR]} …"


def _where(error: BaseException) -> str:
    """Where an error of our own arose; its message might hold a secret."""
    return "".join(traceback.format_tb(error.__traceback__))
