"""A model of the store in plain dictionaries: tasks, their dependencies, and their sub-tasks.

An operation that has to be refused raises Refused; whoever calls it puts the model back as it was.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.errors import Code
from storage.records.states import DEPENDENCIES, ENDED, LOST, REPORTED, CallStatus, Status
from storage.records.tasks import NOBODY, NewTask, NewTurn, Update


class Refused(Exception):
    """The store has to refuse this, with this code."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Call:
    turn: int
    key: str
    status: CallStatus = CallStatus.PENDING
    outcome: str | None = None
    expires: int | None = None


@dataclass
class End:
    """The end of a task, and those of its dependants that have heard of it."""

    status: Status
    origin: str
    heard: set[str] = field(default_factory=set)


@dataclass
class Task:
    owner: str
    number: int
    asked: NewTask
    created: int
    columns: dict[str, Any]
    needs: dict[str, bool]
    """What it depends on, and whether that was satisfied."""

    root: str | None
    depth: int
    parent: str | None
    queued: int
    active: int
    session_end: int
    max_calls: int | None
    calls_left: int | None
    literals: set[str]
    status: Status = Status.PENDING
    reason: str | None = None
    error: str | None = None
    origin: str | None = None
    turn: int = 1
    messages: int = 1
    started: bool = False
    cancelling: bool = False
    claims: int = 0
    calls: dict[str, Call] = field(default_factory=dict)
    grants: dict[str, str] = field(default_factory=dict)
    """What was approved for always in its session, by the id of the grant."""

    @property
    def id(self) -> str:
        return self.asked.id

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def waits_for(self) -> set[str]:
        return {task_id for task_id, satisfied in self.needs.items() if not satisfied}

    @property
    def undecided(self) -> list[Call]:
        return [call for call in self.calls.values() if call.status is CallStatus.AWAITING_APPROVAL]


class Tasks:
    """Tasks as whoever owns them sees and changes them."""

    def __init__(self) -> None:
        self.chunk = 0
        """Tasks that are told, or removed, in one transaction."""

        self.tasks: dict[str, Task] = {}
        self.untold: dict[str, End] = {}
        self.news = False
        """Whether the operation under way has ended something that others wait for."""

        self.count = 0

    def owned(self, owner: str, task_id: str) -> Task:
        task = self.tasks.get(task_id)
        if task is None or task.owner != owner:
            raise Refused(Code.NOT_FOUND)
        return task

    def create(self, owner: str, new: NewTask, at: int) -> Task:
        for task in self.tasks.values():
            key = task.asked.idempotency_key
            if task.owner == owner and key is not None and key == new.idempotency_key:
                if task.asked.request_digest != new.request_digest:
                    raise Refused(Code.CONFLICT)
                return task
        root, depth = self._place(owner, new) if new.parent else (None, 0)
        needs = self._needs(owner, new.depends_on, {}, new.on_dependency_failure == "continue")
        if new.joins and not any(
            task.owner == owner and task.asked.conversation == new.conversation for task in self.tasks.values()
        ):
            raise Refused(Code.NOT_FOUND)
        self.count += 1
        task = Task(
            owner=owner,
            number=self.count,
            asked=new,
            created=at,
            columns={
                "title": new.title,
                "task_list": new.task_list,
                "assigned_agent": new.assigned_agent,
                "internal_status": None,
                "progress": None,
            },
            needs=needs,
            root=root,
            depth=depth,
            parent=new.parent,
            queued=at,
            active=at,
            session_end=new.session_expires_at,
            max_calls=new.max_calls,
            calls_left=new.max_calls,
            literals={name for name, source in new.secrets.items() if source == "literal"},
        )
        self.tasks[new.id] = task
        self._wait_or_queue(task, at)
        return task

    def _place(self, owner: str, new: NewTask) -> tuple[str, int]:
        assert new.parent
        parent = self.owned(owner, new.parent)
        if parent.cancelling or parent.status is Status.CANCELLED:
            raise Refused(Code.CONFLICT)
        root, depth = parent.root or parent.id, parent.depth + 1
        beneath = sum(task.root == root for task in self.tasks.values())
        if depth > new.nesting.depth or beneath >= new.nesting.count:
            raise Refused(Code.LIMIT_EXCEEDED)
        return root, depth

    def _needs(self, owner: str, ids: Iterable[str], before: dict[str, bool], goes_on: bool) -> dict[str, bool]:
        needs = {}
        for task_id in ids:
            task = self.owned(owner, task_id)
            satisfied = before.get(task_id, False) or task.status is Status.COMPLETED or (task.ended and goes_on)
            if task.ended and not satisfied:
                raise Refused(Code.DEPENDENCY_FAILED)
            needs[task_id] = satisfied
        return needs

    def _wait_or_queue(self, task: Task, at: int) -> None:
        if task.waits_for:
            task.status, task.reason = Status.BLOCKED, DEPENDENCIES
        else:
            task.status, task.reason, task.queued = Status.PENDING, None, at

    def update(self, owner: str, task_id: str, wanted: Update, at: int) -> None:
        task = self.owned(owner, task_id)
        record, holder = task.asked.agent == NOBODY, task.columns["assigned_agent"]
        holds = wanted.columns.get("assigned_agent") == holder
        if record and wanted.status is task.status is Status.RUNNING and not holds:
            raise Refused(Code.CONFLICT)
        if record and wanted.max_calls is not None:
            raise Refused(Code.VALIDATION_ERROR)
        task.columns |= wanted.columns
        if wanted.depends_on is not None:
            self._depend(task, wanted.depends_on, at)
        if wanted.max_calls is not None:
            task.max_calls, task.calls_left = wanted.max_calls, max(0, wanted.max_calls - self._used(task))
            if task.calls_left and task.status is Status.PAUSED:
                self._wait_or_queue(task, at)
        if wanted.status is not None:
            self._report(task, wanted.status, wanted.blocked_reason, at)

    def _used(self, task: Task) -> int:
        """Return the calls that count towards the budget of a task."""
        if task.max_calls is not None and task.calls_left is not None:
            return task.max_calls - task.calls_left
        begun = (CallStatus.EXECUTING, CallStatus.SUCCESS, CallStatus.ERROR)
        return sum(call.turn == task.turn and call.status in begun for call in task.calls.values())

    def _depend(self, task: Task, ids: Sequence[str], at: int) -> None:
        by_hand = task.asked.agent == NOBODY and task.status is Status.BLOCKED and task.reason != DEPENDENCIES
        if task.status is not Status.PENDING and not task.ended and task.reason != DEPENDENCIES and not by_hand:
            raise Refused(Code.CONFLICT)
        needs = self._needs(task.owner, ids, task.needs, task.asked.on_dependency_failure == "continue")
        if task.id in self._all_needed(ids):
            raise Refused(Code.DEPENDENCY_CYCLE)
        task.needs = needs
        if not task.ended and not by_hand and bool(task.waits_for) != (task.status is Status.BLOCKED):
            self._wait_or_queue(task, at)

    def _all_needed(self, ids: Iterable[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(ids)
        while waiting:
            if (task_id := waiting.pop()) not in found:
                found.add(task_id)
                waiting += self.tasks[task_id].needs
        return found

    def _report(self, task: Task, target: Status, reason: str | None, at: int) -> None:
        if task.asked.agent != NOBODY:
            raise Refused(Code.CONFLICT)
        if task.status is target:
            task.reason = reason or task.reason
            return
        goes_on = target in (Status.PENDING, Status.RUNNING, Status.COMPLETED)
        if task.ended or (task.waits_for and goes_on):
            raise Refused(Code.CONFLICT)
        if target in (Status.RUNNING, Status.COMPLETED) and not task.started:
            self._start(task, at)
        if target in ENDED:
            self.end(task, target, at, error="EXECUTION_ERROR" if target is Status.FAILED else None)
        elif target is Status.PENDING:
            self._wait_or_queue(task, at)
        else:
            task.status = target
            task.reason = (reason or REPORTED) if target is Status.BLOCKED else None

    def _start(self, task: Task, at: int) -> None:
        task.started, task.active = True, max(task.active, at)

    def open_turn(self, owner: str, task_id: str, new: NewTurn, at: int) -> None:
        task = self.owned(owner, task_id)
        if not task.ended:
            raise Refused(Code.CONFLICT)
        for needed in task.waits_for:
            if self.tasks[needed].status in (Status.FAILED, Status.CANCELLED):
                raise Refused(Code.DEPENDENCY_FAILED)
        self._tell_of(task.id, at)
        if task.session_end <= at:
            task.grants = {}
        task.session_end = new.session_expires_at
        task.turn += 1
        task.messages += 1
        task.calls_left = task.max_calls
        task.started, task.error, task.origin, task.columns["progress"] = False, None, None, None
        task.literals = {name for name, source in new.secrets.items() if source == "literal"}
        self._wait_or_queue(task, at)

    def resume(self, owner: str, task_id: str, at: int) -> None:
        task = self.owned(owner, task_id)
        if task.status is not Status.PAUSED:
            raise Refused(Code.CONFLICT)
        task.calls_left = task.max_calls
        self._wait_or_queue(task, at)

    def resume_with_secrets(self, owner: str, task_id: str, unneeded: Collection[str], at: int) -> None:
        task = self.owned(owner, task_id)
        task.literals -= set(unneeded)
        if task.reason == LOST:
            self._wait_or_queue(task, at)

    def end(self, task: Task, status: Status, at: int, error: str | None = None, origin: str | None = None) -> None:
        for call in task.calls.values():
            if call.status in (CallStatus.PENDING, CallStatus.AWAITING_APPROVAL, CallStatus.EXECUTING):
                call.status = CallStatus.CANCELLED
        task.status, task.reason, task.error, task.origin = status, None, error, origin
        task.cancelling = False
        task.active = max(task.active, at)
        task.messages += 1
        if any(task.id in other.waits_for for other in self.tasks.values()):
            self.untold[task.id] = End(status, origin or task.id)
            self.news = True

    def consequences(self, at: int) -> None:
        """Tell a first chunk, where something has just ended that others wait for."""
        if self.news:
            self.propagate(at)

    def propagate(self, at: int) -> bool:
        """Tell one chunk of dependants, the oldest first; whether there are more to tell."""
        left = self.chunk
        while left and self.untold:
            cause = min(self.untold, key=lambda task_id: self.tasks[task_id].number)
            end = self.untold[cause]
            told = [task for task in self.tasks.values() if cause in task.waits_for and task.id not in end.heard][:left]
            if len(told) < left:
                del self.untold[cause]
            for task in told:
                end.heard.add(task.id)
                self._hear(task, cause, end, at)
            left -= len(told)
        return not left and bool(self.untold)

    def _tell_of(self, cause: str, at: int) -> None:
        """Tell all that do not know yet."""
        if end := self.untold.pop(cause, None):
            for task in self.tasks.values():
                if cause in task.waits_for and task.id not in end.heard:
                    self._hear(task, cause, end, at)

    def _hear(self, task: Task, cause: str, end: End, at: int) -> None:
        if end.status is Status.COMPLETED or task.asked.on_dependency_failure == "continue":
            task.needs[cause] = True
            if not task.waits_for and task.reason == DEPENDENCIES:
                self._wait_or_queue(task, at)
        elif not task.ended:
            self.end(task, Status.FAILED, at, error="DEPENDENCY_FAILED", origin=end.origin)

    def doomed(self, owner: str, task_id: str, cascade: bool) -> set[str]:
        """Return what goes with a task: what is beneath it and, with `cascade`, what depends on any of it."""
        going = {self.owned(owner, task_id).id}
        while True:
            more = {
                task.id
                for task in self.tasks.values()
                if task.id not in going and (task.parent in going or (cascade and going & task.needs.keys()))
            }
            if not more:
                break
            going |= more
        if any(going & task.needs.keys() for task in self.tasks.values() if task.id not in going):
            raise Refused(Code.TASK_HAS_DEPENDENTS)
        if any(self.tasks[each].status is Status.RUNNING for each in going):
            raise Refused(Code.CONFLICT)
        return going

    def remove(self, ids: Iterable[str], at: int) -> None:
        """Remove tasks, open ones cancelled first; whoever still waits for one hears of its end before it is gone."""
        for task_id in ids:
            if not self.tasks[task_id].ended:
                self.end(self.tasks[task_id], Status.CANCELLED, at)
            self._tell_of(task_id, at)
            for task in self.tasks.values():
                task.parent = None if task.parent == task_id else task.parent
                task.needs.pop(task_id, None)
            del self.tasks[task_id]
