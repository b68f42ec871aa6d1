"""A model of the store's operations for workers: runs, tool calls, approvals, and what a dead server leaves."""

from collections.abc import Sequence

from server.errors import Code
from storage.records.calls import CallResult, Decision, NewCall
from storage.records.outcomes import Interruption, Pause, TurnEnd
from storage.records.states import LOST, CallStatus, Status
from storage.records.tasks import NOBODY, Run
from tests.storage.stateful.model import Call, Refused, Task, Tasks

Ended = TurnEnd | Pause | Interruption
"""The outcomes that are chosen from: no task waits for others here."""


class Model(Tasks):
    """The whole of it: tasks, and the work that is done for them."""

    def family(self, task_id: str) -> list[Task]:
        """Return a task and everything beneath it."""
        found = [self.tasks[task_id]]
        for task in found:
            found += [other for other in self.tasks.values() if other.parent == task.id]
        return found

    def cancel(self, owner: str, task_id: str, at: int) -> set[str]:
        """Ask for the end of a task and all beneath it; those that have to be stopped first."""
        stopping = set()
        for task in self.family(self.owned(owner, task_id).id):
            if task.status is Status.RUNNING and task.asked.agent != NOBODY:
                stopping.add(task.id)
                task.cancelling = True
                for call in task.undecided:
                    call.status = CallStatus.CANCELLED
            elif not task.ended:
                self.end(task, Status.CANCELLED, at)
        return stopping

    def claim(self, at: int) -> Task | None:
        ready = [t for t in self.tasks.values() if t.status is Status.PENDING and t.asked.agent != NOBODY]
        if not ready:
            return None
        task = min(ready, key=lambda task: (task.queued, task.number))
        task.status = Status.RUNNING
        task.claims += 1
        if not task.started:
            self._start(task, at)
        return task

    def holds(self, run: Run) -> bool:
        task = self.tasks.get(run.task_id)
        return task is not None and task.status is Status.RUNNING and task.claims == run.fence

    def held(self, run: Run) -> Task:
        if not self.holds(run):
            raise Refused(Code.CONFLICT)
        return self.tasks[run.task_id]

    def announce(self, run: Run, calls: Sequence[NewCall]) -> None:
        task = self.held(run)
        for call in calls:
            task.calls.setdefault(call.id, Call(task.turn, call.key))

    def begin(self, run: Run, call_id: str, expires: int | None, at: int) -> None:
        task = self.held(run)
        call = self._call(task, call_id)
        if call.status is not CallStatus.PENDING or task.calls_left == 0:
            return
        granted = task.session_end > at and call.key in task.grants.values()
        if task.asked.auto_execute or call.outcome or granted:
            call.status = CallStatus.EXECUTING
            task.calls_left = None if task.calls_left is None else task.calls_left - 1
        else:
            call.status, call.expires = CallStatus.AWAITING_APPROVAL, expires

    def end_call(self, run: Run, call_id: str, result: CallResult) -> None:
        call = self._call(self.held(run), call_id)
        if call.status is not CallStatus.EXECUTING:
            raise Refused(Code.CONFLICT)
        call.status = result.status

    def decide(self, owner: str, task_id: str, call_id: str, decision: Decision, at_hand: bool, at: int) -> None:
        task = self.owned(owner, task_id)
        call = self._call(task, call_id)
        if call.outcome == "expired":
            raise Refused(Code.APPROVAL_EXPIRED)
        if call.outcome == decision.outcome:
            return
        if call.outcome or call.status is not CallStatus.AWAITING_APPROVAL:
            raise Refused(Code.CONFLICT)
        if call.expires is not None and call.expires <= at:
            raise Refused(Code.APPROVAL_EXPIRED)
        call.outcome = decision.outcome
        call.status = CallStatus.CANCELLED if decision.outcome == "cancel" else CallStatus.PENDING
        if grant := decision.grant:
            task.session_end = max(task.session_end, grant.session_expires_at)
            task.grants[grant.id] = call.key
        self._resume(task, at, secrets_missing=decision.outcome != "cancel" and not at_hand)

    def expire(self, at: int) -> set[str]:
        """Approvals whose time has passed are a no; the tasks concerned."""
        late = {
            (task.id, call_id)
            for task in self.tasks.values()
            for call_id, call in task.calls.items()
            if call.status is CallStatus.AWAITING_APPROVAL and call.expires is not None and call.expires <= at
        }
        for task_id, call_id in late:
            task = self.tasks[task_id]
            task.calls[call_id].status, task.calls[call_id].outcome = CallStatus.CANCELLED, "expired"
            self._resume(task, at, secrets_missing=False)
        return {task_id for task_id, _ in late}

    def grants(self, owner: str, at: int) -> set[str]:
        """Return the ids of the grants in force."""
        return {
            grant
            for task in self.tasks.values()
            if task.owner == owner and task.session_end > at
            for grant in task.grants
        }

    def revoke(self, owner: str, grant: str, at: int) -> None:
        if grant not in self.grants(owner, at):
            raise Refused(Code.NOT_FOUND)
        for task in self.tasks.values():
            task.grants.pop(grant, None)

    def suspend(self, run: Run, at: int) -> Status:
        task = self.held(run)
        if task.undecided:
            return self._leave(task, Status.AWAITING_APPROVAL, at)
        return self._leave(task, Status.PENDING, at)

    def pause(self, run: Run, at: int) -> Status:
        task = self.held(run)
        return self._leave(task, Status.PENDING if task.calls_left else Status.PAUSED, at)

    def block(self, run: Run, at: int) -> Status:
        return self._leave(self.held(run), Status.BLOCKED, at)

    def end_run(self, run: Run, outcome: Ended, at: int) -> Status:
        match outcome:
            case TurnEnd():
                return self.finish(run, outcome, at)
            case Interruption():
                return self.interrupt(run, at)
            case Pause.SUSPENDED:
                return self.suspend(run, at)
            case Pause.PAUSED:
                return self.pause(run, at)
            case Pause.BLOCKED:
                return self.block(run, at)

    def finish(self, run: Run, end: TurnEnd, at: int) -> Status:
        task = self.held(run)
        if task.cancelling:
            self.end(task, Status.CANCELLED, at)
        else:
            self.end(task, end.status, at, error=end.error_code)
        return task.status

    def interrupt(self, run: Run, at: int) -> Status:
        task = self.held(run)
        cut_off = [call for call in task.calls.values() if call.status is CallStatus.EXECUTING]
        if not cut_off:
            return self.suspend(run, at)
        for call in cut_off:
            call.status = CallStatus.ERROR
        return self.finish(run, TurnEnd(Status.FAILED, Code.INTERRUPTED), at)

    def running(self) -> set[str]:
        return {t.id for t in self.tasks.values() if t.status is Status.RUNNING and t.asked.agent != NOBODY}

    def settle(self, at: int) -> None:
        for task_id in self.running():
            task = self.tasks[task_id]
            self.interrupt(Run(0, task_id, task.turn, task.claims), at)
        for task in self.tasks.values():
            if task.status is Status.PENDING and task.literals:
                task.status, task.reason = Status.BLOCKED, LOST

    def _leave(self, task: Task, target: Status, at: int) -> Status:
        if task.cancelling:
            self.end(task, Status.CANCELLED, at)
        elif target is Status.PENDING:
            self._wait_or_queue(task, at)
        else:
            task.status = target
            task.reason = LOST if target is Status.BLOCKED else None
        return task.status

    def _resume(self, task: Task, at: int, *, secrets_missing: bool) -> None:
        if task.status is Status.AWAITING_APPROVAL and not task.undecided:
            if secrets_missing:
                task.status, task.reason = Status.BLOCKED, LOST
            else:
                self._wait_or_queue(task, at)

    def _call(self, task: Task, call_id: str) -> Call:
        if call_id not in task.calls:
            raise Refused(Code.NOT_FOUND)
        return task.calls[call_id]
