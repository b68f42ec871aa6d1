"""What a look at a few tasks, or one task more, costs among many others, against the same among a thousand."""

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from statistics import median

from benchmarks import population
from benchmarks.access import Access, Look, Population, in_store, through_tools
from benchmarks.contestants import Home, temporary_home
from benchmarks.effort import Effort
from benchmarks.finding import COUNTED, TALLIED, finds
from benchmarks.measure import Row, Target, in_turn

PAGE = 50
_SAMPLE = 2_000
_WRITES = 4  # rounds of what is written for each round of what is read: syncing to disk is noisy
_FOUND = Target("ratio", "≤", 1.5)
_WRITTEN = Target("ratio", "≤", 1.3)
_SLOWEST = Target("value", "≤", 10)  # ms


def rows(effort: Effort) -> Iterator[Row]:
    """Each line is the time among so many tasks over the time among the fewest; in the store and through the tools."""
    with ExitStack() as stack:
        populations = [_population(stack.enter_context(temporary_home()), count) for count in effort.populations]
        for way in (in_store, through_tools):
            with way(populations) as access:
                yield from _compared(access, populations, effort.looks)


def _population(home: Home, count: int) -> Population:
    path = home.path / "remit.db"
    population.copy(count, path)
    with closing(sqlite3.connect(path)) as db:
        sample = random.Random(2026).sample(range(1, count + 1), min(count, _SAMPLE))
        ids = [db.execute("SELECT id FROM tasks WHERE seq = ?", (seq,)).fetchone()[0] for seq in sample]
    return Population(count, home, {find.name: find for find in finds(path)}, ids)


def _compared(access: Access, populations: Sequence[Population], looks: int) -> Iterator[Row]:
    few = populations[0]
    row = partial(_lines, access, populations)
    for look in _looks(few):
        # As many rows as the few have of these: a longer page would be compared with a shorter one.
        limit = max(1, access.rows(few, look, PAGE))
        target = _FOUND if few.finds[look.find].listed else None
        yield from row(f"{look}, {limit} rows", looks, partial(_page, access, look, limit), target)
    if access.name == "store":
        for each in populations[1:]:
            yield _slowest(access, each, looks)
    for name, find in (("total by tally", TALLIED), ("total counted one by one", COUNTED)):
        yield from row(f"{name}, 1 row", looks, partial(_page, access, Look(find, at_middle=False), 1), _FOUND)
    yield from row("get", looks, access.get, _FOUND)
    yield from row("graph of a list of 200", looks, access.graph, _FOUND)
    yield from row("create", looks * _WRITES, access.create, _WRITTEN)
    yield from row("update of a title", looks * _WRITES, access.retitle, _WRITTEN)
    yield from row("update of a new task's status", looks * _WRITES, access.report, _WRITTEN)


def _looks(few: Population) -> Iterator[Look]:
    for find in few.finds.values():
        yield Look(find.name, at_middle=False)
        if find.middle:
            yield Look(find.name, at_middle=True)


def _page(access: Access, look: Look, limit: int, each: Population) -> float:
    return access.page(each, look, limit)


def _lines(
    access: Access,
    populations: Sequence[Population],
    name: str,
    rounds: int,
    action: Callable[[Population], float],
    target: Target | None,
) -> Iterator[Row]:
    """The action among each of the populations in turn; a line for each but the first."""
    baseline, *others = in_turn(rounds, *(partial(action, each) for each in populations))
    for each, measured in zip(populations[1:], others, strict=True):
        yield Row(
            name=f"{access.name}, {each.count:,}: {name}",
            unit="ms",
            measured=measured,
            against=f"among {populations[0].count:,}",
            baseline=baseline,
            target=target,
        )


def _slowest(access: Access, each: Population, looks: int) -> Row:
    """The list whose page of fifty takes longest, of those that are to stay fast."""
    taken = {
        look: in_turn(looks, partial(access.page, each, look, PAGE))[0]
        for look in _looks(each)
        if each.finds[look.find].listed
    }
    slowest = max(taken, key=lambda look: median(taken[look]))
    name = f"{access.name}, {each.count:,}: slowest page of {PAGE}: {slowest}"
    return Row(name=name, unit="ms", measured=taken[slowest], target=_SLOWEST)
