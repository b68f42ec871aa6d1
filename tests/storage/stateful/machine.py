"""The rules for two principals: what they ask for, and what they see."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as some
from hypothesis.stateful import initialize, precondition, rule

from storage.records.calls import Outcome
from storage.records.lists import Filter, Page, Position
from storage.records.states import ENDED, Status
from storage.records.tasks import NOBODY, NestingLimits, NewTask, SecretSource, Update
from storage.sqlite.operations import deletion
from storage.sqlite.relations import propagation
from storage.sqlite.store import SqliteStore
from tests.storage.samples import ANN, decision, new_task, new_turn
from tests.storage.stateful import comparison
from tests.storage.stateful.choices import (
    AGENTS,
    ASKS,
    BUDGETS,
    FIELDS,
    LISTS,
    ON_FAILURE,
    OWNERS,
    REPORTS,
    SECRETS,
    WORDS,
    WORKERS,
    few,
    here,
)
from tests.storage.stateful.machine_base import PRINCIPALS
from tests.storage.stateful.work import Model
from tests.storage.stateful.working import Working

NESTING = NestingLimits(depth=2, count=4)
LIFE = 100  # microseconds that a session lasts


class Machine(Working):
    """Two principals, and those that work for them."""

    @property
    def lasting(self) -> int:
        return self.clock.at + LIFE

    @initialize(
        shapes=some.lists(
            some.fixed_dictionaries(
                {
                    "agent": AGENTS,
                    "depends_on": some.lists(some.integers(0, 4), max_size=3, unique=True),
                    "parent": some.none() | some.integers(0, 9),
                    "on_dependency_failure": ON_FAILURE,
                    "auto_execute": ASKS,
                    "task_list": LISTS,
                    "assigned_agent": WORKERS,
                }
            ),
            min_size=5,
            max_size=10,
        ),
        chunk=some.integers(1, 3),
        whole=some.booleans(),
    )
    def begin_with_some(self, shapes: list[dict[str, Any]], chunk: int, whole: bool) -> None:
        """Tasks that hang together, each with some before it; and how many are told or removed at a time.

        Where they are a whole, each waits for its parts.
        """
        self.model.chunk = propagation.CHUNK = deletion.CHUNK = chunk
        for number, shape in enumerate(shapes):
            parent = shape.pop("parent")
            new = new_task(
                id=f"s{number}",
                parent=f"s{parent}" if parent is not None and parent < number else None,
                depends_on=[f"s{each}" for each in shape.pop("depends_on") if each < number],
                nesting=NESTING,
                session_expires_at=self.lasting,
                **shape,
            )
            self.insert(ANN.id, new)
        for task in list(self.model.tasks.values()) if whole else ():
            parts = [part.id for part in self.model.tasks.values() if part.parent == task.id]
            self.update(task.owner, task.id, Update(columns={}, depends_on=[*task.needs, *parts]))

    @rule(
        owner=OWNERS,
        agent=AGENTS,
        depends_on=few("ids"),
        parent=some.none() | here("ids"),
        goes_on=ON_FAILURE,
        joins=some.none() | here("conversations"),
        max_calls=BUDGETS,
        secrets=SECRETS,
        auto=ASKS,
        shown=some.booleans(),
        task_list=LISTS,
        worker=WORKERS,
        words=WORDS,
        key=some.sampled_from([None, None, None, "k"]),
    )
    def create(self, owner: str, **chosen: Any) -> None:
        record = chosen["agent"] == NOBODY
        new = new_task(
            id=f"t{self.done}",
            agent=chosen["agent"],
            depends_on=chosen["depends_on"],
            parent=chosen["parent"],
            on_dependency_failure=chosen["goes_on"],
            max_calls=None if record else chosen["max_calls"],
            secrets={} if record else chosen["secrets"],
            auto_execute=chosen["auto"],
            show_in_history=chosen["shown"],
            task_list=chosen["task_list"],
            assigned_agent=chosen["worker"],
            triggering_agent=chosen["worker"],
            message=f"{chosen['words']} delta",
            nesting=NESTING,
            session_expires_at=self.lasting,
            idempotency_key=chosen["key"],
            request_digest=chosen["words"],
            **({"conversation": chosen["joins"], "joins": True} if chosen["joins"] else {}),
        )
        self.insert(owner, new)

    def insert(self, owner: str, new: NewTask) -> None:
        self.do(
            lambda model, at: model.create(owner, new, at),
            lambda store: store.create_task(PRINCIPALS[owner], new),
        )

    @rule(owner=OWNERS, task_id=here("ids"), title=WORDS, task_list=LISTS, worker=WORKERS, max_calls=BUDGETS)
    def change(self, owner: str, task_id: str, max_calls: int | None, **columns: Any) -> None:
        values = {"title": columns["title"], "task_list": columns["task_list"], "assigned_agent": columns["worker"]}
        self.update(owner, task_id, Update(columns=values, max_calls=max_calls))

    @rule(owner=OWNERS, task_id=here("ids"), others=few("ids"), keeps=some.booleans(), max_calls=BUDGETS)
    def depend(self, owner: str, task_id: str, others: list[str], keeps: bool, max_calls: int | None) -> None:
        task = self.model.tasks.get(task_id)
        before = list(task.needs) if task and keeps else []
        self.update(owner, task_id, Update(columns={}, depends_on=[*before, *others], max_calls=max_calls))

    @rule(
        owner=OWNERS,
        task_id=here("reportable"),
        status=REPORTS,
        worker=WORKERS,
        progress=some.sampled_from([0.0, 0.5, 1.0]),
        internal=some.sampled_from(["i", "j"]),
        depends_on=some.none() | some.none() | few("ids", 1),
        reason=some.none() | some.just("out for lunch"),
        goes_on=some.booleans(),
    )
    def report(
        self,
        owner: str,
        task_id: str,
        status: Status,
        worker: str | None,
        depends_on: list[str] | None,
        goes_on: bool,
        **told: Any,
    ) -> None:
        """Report on a record, which others may take up again at once."""
        columns = {"progress": told["progress"], "internal_status": told["internal"]}
        columns |= {"assigned_agent": worker} if worker else {}
        reason = told["reason"] if status is Status.BLOCKED else None
        wanted = Update(columns=columns, status=status, depends_on=depends_on, blocked_reason=reason)
        self.update(owner, task_id, wanted)
        if goes_on and status in ENDED:
            self.follow_up(owner, task_id, {})

    def update(self, owner: str, task_id: str, wanted: Update) -> None:
        def expected(model: Model, at: int) -> None:
            model.update(owner, task_id, wanted, at)
            model.consequences(at)

        self.do(expected, lambda store: store.update(PRINCIPALS[owner], task_id, wanted))

    @precondition(lambda self: self.ended)
    @rule(owner=OWNERS, task_id=here("ended"), secrets=SECRETS)
    def follow_up(self, owner: str, task_id: str, secrets: dict[str, SecretSource]) -> None:
        task = self.model.tasks.get(task_id)
        record = task is not None and task.asked.agent == NOBODY
        new = new_turn(secrets={} if record else secrets, session_expires_at=self.lasting)
        self.do(
            lambda model, at: model.open_turn(owner, task_id, new, at),
            lambda store: store.open_turn(PRINCIPALS[owner], task_id, new),
        )

    @precondition(lambda self: self.stuck)
    @rule(owner=OWNERS, task_id=here("stuck"), unneeded=some.sets(some.sampled_from("AB")), budget=some.booleans())
    def bring(self, owner: str, task_id: str, unneeded: set[str], budget: bool) -> None:
        """Give a task its budget once more, or the secrets that were lost."""
        if budget:
            self.do(
                lambda model, at: model.resume(owner, task_id, at),
                lambda store: store.resume(PRINCIPALS[owner], task_id),
            )
        else:
            self.do(
                lambda model, at: model.resume_with_secrets(owner, task_id, unneeded, at),
                lambda store: store.resume_with_secrets(PRINCIPALS[owner], task_id, unneeded),
            )

    @rule(owner=OWNERS, task_id=here("newest"), cascade=some.booleans(), half=some.booleans())
    def delete(self, owner: str, task_id: str, cascade: bool, half: bool) -> None:
        """Remove a task and all that goes with it; by half, the server dies after the first chunk."""

        async def delete(store: SqliteStore) -> list[str]:
            if not half:
                return await store.delete(PRINCIPALS[owner], task_id, cascade=cascade)
            all_of_them = await store._db.read(deletion.removable, PRINCIPALS[owner], task_id, cascade=cascade)
            some_of_them, _ = await store._db.write(
                deletion.delete_some, PRINCIPALS[owner], task_id, all_of_them, self.clock.at, cascade=cascade
            )
            return some_of_them

        going: set[str] = set()
        deleted = self.do(lambda model, at: going.update(model.doomed(owner, task_id, cascade)), delete)
        if deleted is not None:
            assert len(deleted) == (min(self.model.chunk, len(going)) if half else len(going))
            assert going.issuperset(deleted)
            assert (task_id in deleted) == (len(deleted) == len(going))
            self.model.remove(deleted, self.clock.at)
            self.gone += deleted

    @precondition(lambda self: self.decidable)
    @rule(
        owner=OWNERS,
        which=here("decidable"),
        outcome=some.sampled_from(["proceed_once", "proceed_always", "cancel"]),
        at_hand=some.booleans(),
    )
    def decide(self, owner: str, which: tuple[str, str], outcome: Outcome, at_hand: bool) -> None:
        task_id, call_id = which
        made = decision(outcome)
        yes = replace(made, grant=made.grant and replace(made.grant, session_expires_at=self.lasting))
        self.do(
            lambda model, at: model.decide(owner, task_id, call_id, yes, at_hand, at),
            lambda store: store.decide_call(PRINCIPALS[owner], task_id, call_id, yes, secrets_at_hand=at_hand),
        )

    @precondition(lambda self: self.granted)
    @rule(owner=OWNERS, grant=here("granted"))
    def revoke(self, owner: str, grant: str) -> None:
        self.do(
            lambda model, at: model.revoke(owner, grant, at),
            lambda store: store.revoke_grant(PRINCIPALS[owner], grant),
        )

    @precondition(lambda self: self.model.tasks)
    @rule(
        owner=OWNERS,
        task_id=here("ids"),
        names=some.sets(some.sampled_from(FIELDS), max_size=3),
        statuses=some.frozensets(some.sampled_from(Status), max_size=2),
        size=some.integers(1, 4),
        task_list=some.sampled_from(["one", "two"]),
    )
    def look(
        self, owner: str, task_id: str, names: set[str], statuses: frozenset[Status], size: int, task_list: str
    ) -> None:
        """Read a task with all that belongs to it, tasks that are like it, a graph, and the grants."""
        principal = PRINCIPALS[owner]
        found = self.do(
            lambda model, at: model.owned(owner, task_id),
            lambda store: store.snapshot(principal, task_id, messages=True, graph=True, events_after=0, max_events=999),
        )
        if found:
            comparison.check_snapshot(found, self.model.tasks[task_id], self.model)
        self.check_list(owner, self.like(task_id, names, statuses), size)
        graph = self.portal.call(self.store.graph, principal, task_list, 500, 0)
        comparison.check_graph(graph, owner, task_list, self.model)
        grants = self.portal.call(self.store.grants, principal)
        assert {grant.id for grant in grants} == self.model.grants(owner, self.clock.at)

    def like(self, task_id: str, names: set[str], statuses: frozenset[Status]) -> Filter:
        """Return what tasks that are like one in these respects have in common."""
        task = self.model.tasks.get(task_id) or next(iter(self.model.tasks.values()))
        values: dict[str, Any] = {
            "statuses": statuses | {task.status},
            "agent": task.asked.agent,
            "task_list": task.columns["task_list"],
            "assigned_agent": task.columns["assigned_agent"],
            "triggering_agent": task.asked.triggering_agent,
            "internal_status": task.columns["internal_status"],
            "parent": task.parent or task_id,
            "depends_on": next(iter(task.needs), task_id),
            "created_from": task.created,
            "created_to": task.created,
            "words": tuple(filter(str.isalnum, task.asked.message.split()))[:1],
        }
        return Filter(**{name: values[name] for name in names})

    def check_list(self, owner: str, wanted: Filter, size: int) -> None:
        def expected(model: Model, at: int) -> None:
            for task_id in (wanted.parent, wanted.depends_on):
                if task_id is not None:
                    model.owned(owner, task_id)

        every = comparison.listed(self.model, owner, wanted)
        walked: list[str] = []
        after: Position | None = None
        while True:
            page: Page | None = self.do(
                expected, lambda store, after=after: store.find(PRINCIPALS[owner], wanted, size, 0, after)
            )
            if page is None:
                return
            assert (page.total, page.total_is_capped, page.partial) == (len(every), False, False)
            comparison.check_rows(page, self.model)
            walked += [row.id for row in page.tasks]
            if (after := page.next) is None:
                break
        assert walked == every
        second = self.portal.call(self.store.find, PRINCIPALS[owner], wanted, size, 1)
        assert [row.id for row in second.tasks] == every[1 : 1 + size]
