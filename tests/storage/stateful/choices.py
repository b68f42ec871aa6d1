"""Random choices: values, and records of the store at the moment, the most revealing first."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from hypothesis import strategies as some
from hypothesis.strategies import SearchStrategy

from server.errors import Code
from storage.records.lists import Filter
from storage.records.masked import MaskedText
from storage.records.outcomes import Interruption, Pause, TurnEnd
from storage.records.states import DEPENDENCIES, CallStatus, Status
from storage.records.tasks import NOBODY, Run, SecretSource
from tests.storage.samples import ANN
from tests.storage.stateful.machine_base import PRINCIPALS, MachineBase
from tests.storage.stateful.model import Task
from tests.storage.stateful.work import Ended

OWNERS = some.sampled_from([*[ANN.id] * 9, *PRINCIPALS])
AGENTS = some.sampled_from(["shell", "none"])
LISTS = some.sampled_from([None, "one", "two"])
WORKERS = some.sampled_from([None, "ann", "zoe"])
WORDS = some.sampled_from(["alpha", "beta", "gamma"])
KEYS = some.lists(some.sampled_from("abc"), unique=True, min_size=1)
BUDGETS = some.none() | some.integers(1, 3)
PATIENCE = some.none() | some.integers(1, 50)
ON_FAILURE = some.sampled_from(["fail", "fail", "continue"])
ASKS = some.sampled_from([False, False, True])
FIELDS = [field.name for field in fields(Filter) if field.name != "asker"]  # the model has no agents that ask
SECRETS: SearchStrategy[dict[str, SecretSource]] = some.dictionaries(
    some.sampled_from("AB"), some.sampled_from(["literal", "named"]), max_size=2
)
REPORTS = some.sampled_from(
    [*[Status.COMPLETED] * 4, Status.FAILED, *(s for s in Status if s not in ("paused", "awaiting_approval"))]
)
_COMPLETED, _FAILED = TurnEnd(Status.COMPLETED), TurnEnd(Status.FAILED, Code.EXECUTION_ERROR, MaskedText("it broke"))
OUTCOMES: SearchStrategy[Ended] = some.sampled_from(
    [
        *[Pause.SUSPENDED] * 3,
        Pause.PAUSED,
        Pause.BLOCKED,
        Interruption(),
        _FAILED,
        TurnEnd(Status.CANCELLED),
        *[_COMPLETED] * 2,
    ]
)

_MOST = 6


def here(choice: str) -> SearchStrategy[Any]:
    """Choose one of the things of this kind that exist at the moment."""
    return some.runner().flatmap(lambda ground: some.sampled_from(getattr(ground, choice)))


def few(choice: str, most: int = 3) -> SearchStrategy[list[Any]]:
    """Some of them, or none."""
    return some.lists(here(choice), max_size=most, unique=True)


class Choices(MachineBase):
    """The things that rules choose from."""

    @property
    def ids(self) -> list[str]:
        """Tasks that are there, and the latest of those that are not any more."""
        return [*self.model.tasks, *self.gone[-1:], "unknown"]

    @property
    def ended(self) -> list[str]:
        """Those first whose dependants do not know it."""
        return self._first(lambda task: task.id in self.model.untold, (t for t in self._tasks if t.ended))

    @property
    def stuck(self) -> list[str]:
        stuck = (Status.BLOCKED, Status.PAUSED, Status.AWAITING_APPROVAL)
        return self._first(lambda task: task.reason != DEPENDENCIES, (t for t in self._tasks if t.status in stuck))

    @property
    def busy(self) -> list[str]:
        return [*self._first(lambda task: task.started and not task.ended, self._tasks), "unknown"]

    @property
    def newest(self) -> list[str]:
        return [*self.ids[-4:], *self.ids[:3]]

    @property
    def reportable(self) -> list[str]:
        """Records, those first that can go on, and one task that is none."""
        records = [task for task in self._tasks if task.asked.agent == NOBODY]
        return [*self._first(lambda task: not task.waits_for and not task.ended, records), self.ids[0]]

    @property
    def conversations(self) -> list[str]:
        return [task.asked.conversation for task in self._tasks] or ["unknown"]

    @property
    def recent(self) -> list[Run]:
        """Runs that hold their tasks, and a few that do not any more."""
        return sorted(self.runs, key=lambda run: (not self.model.holds(run), -run.seq))[:4]

    @property
    def decidable(self) -> list[tuple[str, str]]:
        """Calls, those that wait first."""
        found = [(task.id, call_id, call) for task in self._tasks for call_id, call in task.calls.items()]
        found.sort(key=lambda each: each[2].status is not CallStatus.AWAITING_APPROVAL)
        return [(task_id, call_id) for task_id, call_id, _ in found][:4]

    @property
    def granted(self) -> list[str]:
        return sorted(grant for owner in PRINCIPALS for grant in self.model.grants(owner, self.clock.at))

    @property
    def _tasks(self) -> Iterable[Task]:
        return self.model.tasks.values()

    def _first(self, telling: Callable[[Task], bool], tasks: Iterable[Task]) -> list[str]:
        return [task.id for task in sorted(tasks, key=lambda task: not telling(task))][:_MOST]
