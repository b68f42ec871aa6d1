"""The rules for those that work, and for the servers they work in."""

from hypothesis import strategies as some
from hypothesis.stateful import precondition, rule

from storage.records.calls import CallResult, NewCall
from storage.records.events import EventKind, NewEvent
from storage.records.masked import MaskedArgs, MaskedText
from storage.records.outcomes import Interruption, Pause
from storage.records.states import CallStatus, Status
from storage.records.tasks import Run
from storage.sqlite.store import SqliteStore
from tests.storage.stateful.choices import KEYS, OUTCOMES, OWNERS, PATIENCE, Choices, here
from tests.storage.stateful.machine_base import PRINCIPALS
from tests.storage.stateful.model import Task
from tests.storage.stateful.work import Ended, Model


class Working(Choices):
    """Agents that work, runs that have lost their tasks, and servers that die."""

    @rule(keys=KEYS, patience=PATIENCE, outcome=some.none() | OUTCOMES)
    def work(self, keys: list[str], patience: int | None, outcome: Ended | None) -> None:
        """Claim a task, make some calls, and leave it, as an agent of this server does."""
        run = self.claim()
        if run:
            self.write("announce_calls", run, keys, None, True)
            for key in keys:
                self.write("begin_call", run, [key], patience, True)
            if outcome:
                self.leave(run, outcome, False)

    def claim(self) -> Run | None:
        expected: list[Task | None] = []
        claim = self.do(lambda model, at: expected.append(model.claim(at)), lambda store: store.claim_run("owner"))
        (task,) = expected
        assert (claim and (claim.task.id, claim.run.fence)) == (task and (task.id, task.claims))
        if claim:
            self.runs.append(claim.run)
        return claim.run if claim else None

    @precondition(lambda self: self.runs)
    @rule(
        what=some.sampled_from(["announce_calls", "begin_call", "end_call", "append_events"]),
        run=here("recent"),
        keys=KEYS,
        patience=PATIENCE,
        success=some.booleans(),
    )
    def write(self, what: str, run: Run, keys: list[str], patience: int | None, success: bool) -> None:
        """Write what a run does, or one that has lost its task."""
        calls = [_call(run, key) for key in keys]
        first = calls[0].id
        expires = None if patience is None else self.clock.at + patience
        result = CallResult(CallStatus.SUCCESS if success else CallStatus.ERROR, MaskedText("output"), exit_status=0)
        if what == "announce_calls":
            self.do(lambda model, at: model.announce(run, calls), lambda store: store.announce_calls(run, calls))
        elif what == "begin_call":
            self.do(
                lambda model, at: model.begin(run, first, expires, at),
                lambda store: store.begin_call(run, first, expires),
            )
        elif what == "end_call":
            self.do(
                lambda model, at: model.end_call(run, first, result),
                lambda store: store.end_call(run, first, result),
            )
        else:
            events = [NewEvent(EventKind.CONTENT, {"text": key}) for key in keys]
            self.do(lambda model, at: model.held(run), lambda store: store.append_events(run, events))

    @precondition(lambda self: self.runs)
    @rule(run=here("recent"), outcome=OUTCOMES, cancelled=some.booleans())
    def leave(self, run: Run, outcome: Ended, cancelled: bool) -> None:
        """End a run, perhaps cancelled just before.

        In a call there is no end but its own and a cut; one with a call that waits for a decision waits for that.
        """
        task = self.model.tasks.get(run.task_id)
        in_a_call = task and any(call.status is CallStatus.EXECUTING for call in task.calls.values())
        if task and task.undecided and outcome in (Pause.PAUSED, Pause.BLOCKED):
            outcome = Pause.SUSPENDED
        if task and cancelled:
            self.cancel(task.owner, task.id)
        self._leave(run, Interruption() if in_a_call and isinstance(outcome, Pause) else outcome)

    @rule(owner=OWNERS, task_id=here("busy"))
    def cancel(self, owner: str, task_id: str) -> None:
        stopping: set[str] = set()

        def expected(model: Model, at: int) -> None:
            stopping.update(model.cancel(owner, task_id, at))
            model.consequences(at)

        cancelled = self.do(expected, lambda store: store.cancel(PRINCIPALS[owner], task_id))
        assert cancelled is None or set(cancelled.stopping) == stopping

    @rule()
    def propagate(self) -> None:
        more: list[bool] = []
        assert self.do(lambda model, at: more.append(model.propagate(at)), SqliteStore.propagate) == more[0]

    @rule(microseconds=some.sampled_from([10, 60, 200, 100_000_000, 2_000_000_000]))
    def time_passes(self, microseconds: int) -> None:
        self.clock.at += microseconds
        late: set[str] = set()
        expired = self.do(lambda model, at: late.update(model.expire(at)), SqliteStore.expire_calls)
        assert set(expired or ()) == late

    @rule()
    def the_server_dies_and_another_one_starts(self) -> None:
        self.kill()
        left = self.portal.call(self.store.leftovers)
        assert {each.run.task_id for each in left} == self.model.running()

        def expected(model: Model, at: int) -> None:
            model.settle(at)
            model.consequences(at)

        self.do(expected, SqliteStore.recover)

    def _leave(self, run: Run, outcome: Ended) -> None:
        status: list[Status] = []

        def expected(model: Model, at: int) -> None:
            status.append(model.end_run(run, outcome, at))
            model.consequences(at)

        left = self.do(expected, lambda store: store.end_run(run, outcome))
        assert left == (status[0] if status else None)


def _call(run: Run, key: str) -> NewCall:
    return NewCall(
        key=MaskedText(key),
        id=f"{run.task_id}:{run.turn}:{key}",
        tool_name=MaskedText("shell"),
        args=MaskedArgs({"command": key}),
        digest=key,
        similar=(key,),
        description=MaskedText(key),
    )
