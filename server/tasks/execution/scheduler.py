"""Scheduler: which runs start when. It claims pending tasks in queue order, and has each run worked on."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import anyio
from anyio.abc import TaskGroup

from server.errors import RemitError
from server.tasks.execution.agent_caller import SubtaskApi, may_delegate
from server.tasks.execution.ends import EndWriter
from server.tasks.execution.slot import Slot
from server.tasks.execution.worker import Worker
from server.tasks.services import Services
from storage.records.queue import SlotDemand

_log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds before a failed database operation is tried again."""


class Scheduler:
    """Runs pending tasks, at most `settings.max_running` at once."""

    def __init__(self, services: Services, subtask_api: SubtaskApi, owner: str) -> None:
        """Create the scheduler. `owner` is the name of this server in the records of its runs."""
        self._store = services.store
        self._settings = services.settings
        self._owner = owner
        self._running: dict[str, Slot] = {}
        self._claiming = anyio.Lock()
        self._stopped_early: set[str] = set()
        """Tasks that were stopped while a claim was under way; the run being claimed may be of one of them."""

        self._claims = 0
        self._served: dict[str, int] = {}
        """The number of the last claim of each principal: who was served longest ago goes first."""

        self._fault: str | None = None
        """Why no task could be started at the last attempt."""

        self._wake = anyio.Event()
        self._waits = anyio.Event()
        self.ends = EndWriter(services.store, self.stop, self.abandon, lambda: self._waits.set())
        self._worker = Worker(services, subtask_api, self.ends.settle)

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

    def unwritten(self, task_id: str) -> str | None:
        """Return what the database lacks of a task because it cannot be written now, in words; None if nothing."""
        if self.ends.holds(task_id) or self.ends.cancels(task_id):
            return "its work has ended; how is told as soon as the database can be written again"
        slot = self._running.get(task_id)
        return f"it waits, and goes on by itself: {slot.waits_for}" if slot and slot.waits_for else None

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
                self._tell_fault(str(error))
                await anyio.sleep(PATIENCE)
                continue
            self._fault = None
            if slot is None:
                return
            group.start_soon(self._work, slot)

    def _tell_fault(self, fault: str) -> None:
        """Log why no task can be started, once: repeated each second it would push all else out of the log."""
        if fault != self._fault:
            self._fault = fault
            _log.error("no task can be started: %s", fault)

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
        try:
            await self._worker.work(slot)
        finally:
            del self._running[slot.claim.task.id]
            self.poke()
