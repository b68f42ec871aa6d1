"""What the end of a task, or its removal, brings about among those that wait for it, and who has to wait meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle

from benchmarks import database
from benchmarks.client import Window
from benchmarks.contestants import Home, temporary_home
from benchmarks.effort import Effort
from benchmarks.measure import Row, Target, milliseconds
from storage.records.tasks import NOBODY

_MESSAGE = "to be done by others"
_MOST_CHAIN_MS = 1_000.0
_MOST_WAIT_MS = 150.0
_PATIENCE_S = 45


def rows(effort: Effort) -> Iterator[Row]:
    """A chain whose first task fails; then one task with many dependants that completes, fails, and is deleted."""
    with temporary_home() as home:
        chain = _fill(home, _chained, effort.chain)
        with home.window() as window:
            taken = milliseconds(lambda: _fail_first(window, chain))
    name = f"the first of a chain of {effort.chain:,} fails, until the last has"
    yield Row(name=name, unit="ms", measured=[taken], target=Target("value", "≤", _MOST_CHAIN_MS))
    for status, told in (("completed", "pending"), ("failed", "failed")):
        measured = _ended(status, told, effort.dependants)
        yield from _two_rows(f"{effort.dependants:,} dependants of one that has {status}", *measured)
    yield from _two_rows(f"one deleted with {effort.dependants:,} dependants", *_deleted(effort.dependants))


def _ended(status: str, told: str, dependants: int) -> tuple[float, list[float]]:
    with temporary_home() as home:
        ids = _fill(home, _fanned, dependants)
        with home.window() as window, home.window() as other:
            return _beside(other, lambda: _end(window, ids, status, told))


def _deleted(dependants: int) -> tuple[float, list[float]]:
    with temporary_home() as home:
        ids = _fill(home, _fanned, dependants)
        with home.window() as window, home.window() as other:
            _end(window, ids, "failed", "failed")
            return _beside(other, lambda: window.call("delete_task", id=ids[0], cascade=True))


def _fill(home: Home, needs: Callable[[Sequence[str]], Sequence[str]], count: int) -> list[str]:
    """A task, and then so many that each wait for what `needs` picks of those before it; their ids."""
    with database.opened(home.path / "remit.db") as db:
        db.execute("BEGIN")
        ids = [database.insert_task(db, _MESSAGE, agent=NOBODY)]
        for _ in range(count):
            ids.append(database.insert_task(db, _MESSAGE, agent=NOBODY, depends_on=needs(ids)))
        db.execute("COMMIT")
    return ids


def _chained(ids: Sequence[str]) -> Sequence[str]:
    return ids[-1:]


def _fanned(ids: Sequence[str]) -> Sequence[str]:
    return ids[:1]


def _fail_first(window: Window, chain: Sequence[str]) -> None:
    _end(window, chain, "failed", "failed")
    last = window.call("get_task", id=chain[-1])
    assert last["errorCode"] == "DEPENDENCY_FAILED"
    assert chain[0] in last["error"]


def _end(window: Window, ids: Sequence[str], status: str, told: str) -> None:
    """End the first of the tasks, and return once the last of them, which is told last, has heard of it."""
    known = window.call("get_task", id=ids[-1])["lastEvent"]
    window.call("update_task", id=ids[0], status=status)
    last = window.call("get_task", id=ids[-1], waitSeconds=_PATIENCE_S, afterEvent=known)
    assert last["status"] == told


def _beside(other: Window, action: Callable[[], object]) -> tuple[float, list[float]]:
    """Milliseconds of an action, and of each call that another window makes in the meantime."""
    with ThreadPoolExecutor(1) as thread:
        acting = thread.submit(milliseconds, action)
        calls = _calls_until(acting, other)
        return acting.result(), calls


def _calls_until(acting: Future[float], other: Window) -> list[float]:
    task = other.call("create_task", message=_MESSAGE, agentId=NOBODY)["id"]
    calls = (
        lambda: other.call("create_task", message=_MESSAGE, agentId=NOBODY),
        lambda: other.call("update_task", id=task, progress=0.5),
        lambda: other.call("get_task", id=task),
        lambda: other.call("list_tasks"),
    )
    taken: list[float] = []
    for call in cycle(calls):
        taken.append(milliseconds(call))
        if acting.done() and len(taken) >= len(calls):
            break
    return taken


def _two_rows(name: str, taken: float, calls: Sequence[float]) -> Iterator[Row]:
    yield Row(name=name, unit="ms", measured=[taken])
    worst = Target("value", "≤", _MOST_WAIT_MS)
    yield Row(name="  the longest wait of another call beside it", unit="ms", measured=[max(calls)], target=worst)
