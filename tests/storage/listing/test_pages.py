"""Finding tasks: filters, totals, and walks by offset and by position."""

import re
import sqlite3
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from server.errors import Code, RemitError
from storage.interface import Store
from storage.records.lists import Filter, Page, Position, Total
from storage.records.states import Status
from storage.records.tasks import NestingLimits, Update
from storage.sqlite.connection import RecordingConnection
from storage.sqlite.listing import pages as listing
from storage.sqlite.listing import planner, scans
from storage.sqlite.operations import tasks
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, BOB, new_task

SECOND = 1_000_000
NESTING = NestingLimits(depth=5, count=10_000)

# Seconds from the creation to the last activity: some for each of the spans that lists are merged from.
ACTIVE = (0, 30, 90, 5_000, 20_000, 300_000, 5_000_000, 70_000_000)

# Above how many tasks of the wanted time a list is walked by activity, and not looked through as a whole.
SHORT_OR_NOT = pytest.mark.parametrize("short", [0, planner.SHORT], ids=["by activity", "by creation"])


def opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(fresh(path), isolation_level=None, factory=RecordingConnection)
    db.row_factory = sqlite3.Row
    return db


def insert(db: sqlite3.Connection, created: int, active: int | None = None, **changes: Any) -> str:
    """Return a task with times of the test's own."""
    new = new_task(agent="none", **changes)
    tasks.create(db, ANN, new, created)
    db.execute("UPDATE tasks SET last_activity_at = ? WHERE id = ?", (active or created, new.id))
    return new.id


def ids(page: Page) -> list[str]:
    return [task.id for task in page.tasks]


@pytest.fixture
def db(tmp_path: Path) -> Any:
    db = opened(tmp_path / "remit.db")
    db.execute("BEGIN")
    yield db
    db.close()


@pytest.fixture(scope="module")
def populated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A database that no test changes."""
    db = opened(tmp_path_factory.mktemp("populated") / "remit.db")
    population(db)
    yield db
    db.close()


def population(db: sqlite3.Connection, count: int = 60) -> None:
    parent = insert(db, 1, title="the parent")
    for number in range(count):
        task = insert(
            db,
            (number + 2) * SECOND,
            (number + 2) * SECOND + ACTIVE[number % len(ACTIVE)] * SECOND,
            message=f"word{number % 3} and more",
            task_list=("one", "two", None)[number % 3],
            assigned_agent=("ann", None)[number % 2],
            triggering_agent=("bob", None, None)[number % 3],
            parent=parent if number % 4 == 0 else None,
            nesting=NESTING,
        )
        status = list(Status)[number % len(Status)]
        db.execute("UPDATE tasks SET status = ?, internal_status = ? WHERE id = ?", (status, f"i{number % 2}", task))


FIELDS: dict[str, Any] = {
    "statuses": frozenset({Status.COMPLETED, Status.PENDING}),
    "agent": "none",
    "task_list": "one",
    "assigned_agent": "ann",
    "triggering_agent": "bob",
    "internal_status": "i0",
    "created_from": 10 * SECOND,
    "created_to": 50 * SECOND,
    "words": ("word0",),
}


def by_hand(db: sqlite3.Connection, wanted: Filter) -> list[str]:
    """Return what a list should hold, from a look at every task."""

    def holds(row: sqlite3.Row) -> bool:
        equal = ("agent", "task_list", "assigned_agent", "triggering_agent", "internal_status")
        return (
            all(getattr(wanted, name) in (None, row[name]) for name in equal)
            and (not wanted.statuses or row["status"] in wanted.statuses)
            and (wanted.created_from is None or row["created_at"] >= wanted.created_from)
            and (wanted.created_to is None or row["created_at"] <= wanted.created_to)
            and all(word in row["message"] for word in wanted.words)
        )

    order = "seq DESC" if wanted.words else "last_activity_at DESC, seq DESC"
    return [row["id"] for row in db.execute(f"SELECT * FROM tasks ORDER BY {order}") if holds(row)]


@pytest.mark.behaviour("list_tasks:filters:combine")
@SHORT_OR_NOT
@pytest.mark.parametrize(
    "names", [names for size in (0, 1, 2, 3) for names in combinations(FIELDS, size)], ids="-".join
)
def test_filters_combine(
    populated: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], short: int
) -> None:
    monkeypatch.setattr(planner, "SHORT", short)
    wanted = Filter(**{name: FIELDS[name] for name in names})
    expected = by_hand(populated, wanted)
    page = listing.find(populated, ANN, wanted, 100, 0, None)
    assert (ids(page), page.total, page.total_is_capped, page.partial) == (expected, len(expected), False, False)


@SHORT_OR_NOT
@pytest.mark.parametrize(
    "names",
    [(), ("statuses",), ("created_to",), ("words",), ("statuses", "created_to"), ("created_from", "created_to")],
    ids="-".join,
)
def test_offsets_and_positions_lead_to_the_same_rows(
    populated: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], short: int
) -> None:
    monkeypatch.setattr(planner, "SHORT", short)
    wanted = Filter(**{name: FIELDS[name] for name in names})
    by_offset: list[str] = []
    by_position: list[str] = []
    after: Position | None = None
    while True:
        by_offset += ids(listing.find(populated, ANN, wanted, 7, len(by_offset), None))
        page = listing.find(populated, ANN, wanted, 7, 0, after)
        by_position += ids(page)
        after = page.next
        if after is None:
            break
    assert by_offset == by_position == by_hand(populated, wanted)


def test_a_list_of_what_depends_on_a_task_can_be_narrowed(db: sqlite3.Connection) -> None:
    first = insert(db, 1)
    waiting = insert(db, 2, depends_on=[first])
    cancelled = insert(db, 3, depends_on=[first])
    db.execute("UPDATE tasks SET status = 'cancelled' WHERE id = ?", (cancelled,))
    everyone = listing.find(db, ANN, Filter(depends_on=first), 10, 0, None)
    narrowed = listing.find(db, ANN, Filter(depends_on=first, statuses=frozenset({Status.BLOCKED})), 10, 0, None)
    assert (ids(everyone), ids(narrowed)) == ([cancelled, waiting], [waiting])


def test_a_list_of_sub_tasks_counts_them(db: sqlite3.Connection) -> None:
    population(db)
    parent = db.execute("SELECT id FROM tasks WHERE title = 'the parent'").fetchone()["id"]
    page = listing.find(db, ANN, Filter(parent=parent), 5, 0, None)
    assert (len(page.tasks), page.total, {task.parent for task in page.tasks}) == (5, 15, {parent})


@pytest.mark.parametrize("field", ["parent", "depends_on"])
async def test_an_unknown_relative_is_named(store: Store, field: str) -> None:
    names = {"parent": "parentTaskId", "depends_on": "dependsOn"}
    created = await store.create_task(BOB, new_task())
    for task_id in ("unknown", created.id):
        with pytest.raises(RemitError) as caught:
            await store.find(ANN, Filter(**{field: task_id}), 10)  # type: ignore[arg-type]
        assert (caught.value.code, caught.value.details["field"]) == (Code.NOT_FOUND, names[field])


@pytest.mark.parametrize("words", [("AND",), ('"',), ("NOT", "word"), ("col:umn",), ("(",), ("wo*",)])
def test_words_are_never_operators(db: sqlite3.Connection, words: tuple[str, ...]) -> None:
    insert(db, 1, message="and not the col umn")
    listing.find(db, ANN, Filter(words=words), 10, 0, None)


async def test_a_changed_title_is_found_and_the_old_one_is_not(store: Store) -> None:
    new = new_task(title="before")
    await store.create_task(ANN, new)
    await store.update(ANN, new.id, Update(columns={"title": "after"}))
    found = [(await store.find(ANN, Filter(words=(word,)), 10)).total for word in ("before", "AFTER", "hello")]
    assert found == [0, 1, 1]


async def test_nobody_finds_anothers_words(store: Store) -> None:
    await store.create_task(ANN, new_task(message="private"))
    assert (await store.find(BOB, Filter(words=("private",)), 10)).total == 0


def test_a_long_search_says_that_it_is_partial_and_goes_on(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "MOST_ENTRIES", 10)
    population(db)
    rare = insert(db, 1, task_list="one", triggering_agent="rare", title="rare")
    wanted = Filter(statuses=frozenset(Status), triggering_agent="rare", task_list="one")
    assert ids(listing.find(db, ANN, wanted, 5, 0, None)) == [rare]  # its own index leads there at once
    wanted = Filter(internal_status="i0", agent="none", assigned_agent="ann", task_list="two")
    found: list[str] = []
    after: Position | None = None
    partial = 0
    while True:
        page = listing.find(db, ANN, wanted, 100, 0, after)
        found += ids(page)
        partial += page.partial
        after = page.next
        if after is None:
            break
    assert (found, partial > 0) == (by_hand(db, wanted), True)


@SHORT_OR_NOT
@pytest.mark.parametrize("names", [("created_to",), ("words", "agent"), ("agent", "task_list", "created_from")])
def test_what_comes_after_a_full_page_is_counted_too(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], short: int
) -> None:
    monkeypatch.setattr(planner, "SHORT", short)
    population(db)
    wanted = Filter(**{name: FIELDS[name] for name in names})
    expected = len(by_hand(db, wanted))
    totals = [listing.find(db, ANN, wanted, size, 0, None).total for size in range(1, expected + 2)]
    assert totals == [expected] * (expected + 1)


def test_page_and_total_together_look_no_farther_than_one_look(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "MOST_ENTRIES", 20)
    population(db)
    wanted = Filter(agent="none", internal_status="i0", triggering_agent="bob")
    page = listing.find(db, ANN, wanted, 3, 0, None)
    assert (len(page.tasks), page.partial, page.total_is_capped) == (3, False, False)
    monkeypatch.setattr(scans, "MOST_ENTRIES", 8)
    page = listing.find(db, ANN, wanted, 3, 0, None)
    # Of the twenty that bob called for, every other one is wanted: four among the first eight.
    assert (len(page.tasks), page.total, page.total_is_capped) == (3, 4, True)


def test_a_total_that_was_counted_is_not_counted_again(db: sqlite3.Connection) -> None:
    population(db)
    dated, tallied = Filter(created_from=1), Filter()
    pages = [listing.find(db, ANN, wanted, 3, 0, Position(9, 9), Total(7, True)) for wanted in (dated, tallied)]
    assert [(page.total, page.total_is_capped) for page in pages] == [(7, True), (61, False)]


def test_the_shortest_index_leads_to_what_is_wanted(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans, "MOST_ENTRIES", 1)
    population(db)
    rare = insert(db, 1, assigned_agent="ann", triggering_agent="rare", task_list="one")
    wanted = Filter(assigned_agent="ann", triggering_agent="rare", task_list="one", agent="none")
    page = listing.find(db, ANN, wanted, 5, 0, None)
    assert ids(page) == [rare]


def test_a_total_beyond_what_is_counted_is_marked(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_COUNTED", 5)
    population(db)
    dated = listing.find(db, ANN, Filter(created_from=1), 10, 0, None)
    every = listing.find(db, ANN, Filter(), 10, 0, None)
    assert [(page.total, page.total_is_capped) for page in (dated, every)] == [(5, True), (61, False)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(touched=some.lists(some.integers(0, 39), max_size=30), size=some.integers(1, 9))
def test_what_does_not_change_is_seen_exactly_once_in_a_walk(touched: list[int], size: int, tmp_path: Path) -> None:
    db = opened(tmp_path / f"{len(list(tmp_path.iterdir()))}.db")
    db.execute("BEGIN")
    every = [insert(db, number * SECOND) for number in range(1, 41)]
    seen: list[str] = []
    after: Position | None = None
    changes = iter(touched)
    at = 1000 * SECOND
    while True:
        page = listing.find(db, ANN, Filter(), size, 0, after)
        seen += ids(page)
        if (number := next(changes, None)) is not None:
            at += 1
            db.execute("UPDATE tasks SET last_activity_at = ? WHERE id = ?", (at, every[number]))
        after = page.next
        if after is None:
            break
    db.close()
    still = set(every) - {every[number] for number in touched}
    assert sorted(task for task in seen if task in still) == sorted(still)


@SHORT_OR_NOT
@pytest.mark.parametrize(
    "names", [names for size in (0, 1, 2, 3) for names in combinations(FIELDS, size)], ids="-".join
)
def test_no_list_is_scanned_or_sorted(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], short: int
) -> None:
    monkeypatch.setattr(planner, "SHORT", short)
    first = insert(db, 1)
    insert(db, 2, depends_on=[first], parent=first, nesting=NESTING)
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    for extra in ({}, {"parent": first}, {"depends_on": first}):
        wanted = Filter(**{name: FIELDS[name] for name in names}, **extra)  # type: ignore[arg-type]
        listing.find(db, ANN, wanted, 10, 0, None)
        listing.find(db, ANN, wanted, 1, 0, None)  # where there are more, they are counted on
        listing.find(db, ANN, wanted, 10, 0, Position(5, 5))
    db.set_trace_callback(None)
    plans = [
        (statement, row["detail"])
        for statement in statements
        if statement.lstrip().upper().startswith("SELECT")
        for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]
    bad = "TEMP B-TREE|^SCAN (?!.*VIRTUAL TABLE|\\(subquery|.*USING (COVERING )?INDEX|CONSTANT)"
    assert len(plans) > 10
    assert not [plan for plan in plans if re.search(bad, plan[1])]
