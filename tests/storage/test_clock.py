"""Plausibility of the time of day, and a queue that does not depend on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.interface import Store
from storage.records.clock import DOUBT, FAR_AHEAD, Clock
from storage.sqlite.clock import read_clock
from storage.sqlite.store import open_store
from storage.times import now
from tests.storage.samples import ANN, HOUR, new_task

NOON = 1_800_000_000_000_000
DAY = 24 * HOUR


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "remit.db") as store:
        await store.maintenance.believe_clock(NOON)  # the tests do not depend on when they are run
        yield store


async def test_a_new_database_has_seen_the_time_at_which_it_was_made(tmp_path: Path) -> None:
    async with open_store(tmp_path / "remit.db") as store:
        assert not await store.maintenance.observe_clock(now() + 400 * DAY, 0)


async def test_one_that_is_sixty_days_later_is_believed(store: Store) -> None:
    await store.maintenance.observe_clock(NOON, 0)
    assert await store.maintenance.observe_clock(NOON + FAR_AHEAD, 0)


async def test_one_that_is_further_ahead_is_believed_once_servers_have_run_long_enough(tmp_path: Path) -> None:
    ahead = NOON + 400 * DAY
    believed: list[bool] = []
    for ran_us in (0, DOUBT // 2, DOUBT // 2):
        async with open_store(tmp_path / "remit.db") as store:  # time adds up over starts
            if not believed:
                await store.maintenance.believe_clock(NOON)
            believed.append(await store.maintenance.observe_clock(ahead, ran_us))
    assert believed == [False, False, True]
    assert read_clock(tmp_path / "remit.db") == Clock(ahead, 0)


async def test_doubt_begins_anew_once_the_clock_was_right(store: Store) -> None:
    await store.maintenance.observe_clock(NOON, 0)
    await store.maintenance.observe_clock(NOON + 400 * DAY, DOUBT - 1)
    await store.maintenance.observe_clock(NOON + HOUR, 1)
    assert not await store.maintenance.observe_clock(NOON + 400 * DAY, DOUBT - 1)


async def test_one_that_was_behind_and_is_set_right_is_doubted_while_the_server_lives(store: Store) -> None:
    await store.maintenance.observe_clock(NOON, 0)
    assert await store.maintenance.observe_clock(HOUR, 0)  # of 1970
    assert not await store.maintenance.observe_clock(NOON + HOUR, HOUR)
    assert await store.maintenance.observe_clock(NOON + HOUR + DOUBT, DOUBT)


async def test_what_a_person_says_is_believed(store: Store) -> None:
    await store.maintenance.observe_clock(NOON, 0)
    await store.maintenance.believe_clock(NOON + 400 * DAY)
    assert await store.maintenance.observe_clock(NOON + 400 * DAY, 0)


async def test_the_queue_is_in_order_when_the_clock_goes_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for at in (NOON, NOON - DAY, NOON - 2 * DAY):
        monkeypatch.setattr("storage.sqlite.store.now", lambda at=at: at)
        ids.append((await store.create_task(ANN, new_task())).id)
    claims = [await store.claim_run("server") for _ in ids]
    assert [claim.task.id for claim in claims if claim] == ids
