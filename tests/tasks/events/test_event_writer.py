"""Output on its way into the log: few events, and nothing lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from server.tasks.events import event_writer
from server.tasks.events.event_writer import EventWriter
from server.tasks.execution.record import RunRecord
from server.tasks.execution.slot import Slot
from storage.interface import Store
from storage.records.events import Event, EventKind, RunEvent
from storage.records.masked import MaskedText
from storage.records.tasks import Run
from storage.sqlite.store import open_store
from tests.storage.fresh import fresh
from tests.storage.samples import ANN, claimed


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        yield store


async def dribbled(store: Store, run: Run, characters: str, event_limit: int) -> list[Event]:
    """Return the events of a call that writes one character whenever the last one has had the time to be written."""
    publishing = EventWriter(store, run, event_limit, call_id="call_1")
    async with publishing.serving():
        for character in characters:
            publishing.publish(MaskedText(character))
            for _ in range(3):  # each goes to the database and back, behind what is being written
                await store.task(ANN, run.task_id)
    events = (await store.snapshot(ANN, run.task_id, events_after=0, max_events=10_000)).events
    return [event for event in events if event.kind == EventKind.CONTENT]


async def test_what_comes_while_output_is_gathered_is_one_event(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_writer, "PACE", 1e9)
    monkeypatch.setattr(event_writer, "LONGEST_PAUSE", 60.0)
    events = await dribbled(store, (await claimed(store)).run, "a" + "b" * 99, event_limit=1000)
    assert [event.data["text"] for event in events] == ["a", "b" * 99]


async def test_beyond_the_limit_of_events_output_is_written_when_its_call_ends(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_writer, "PACE", 0.0)
    run = (await claimed(store)).run
    events = await dribbled(store, run, "x" * 200, event_limit=50)
    assert "".join(event.data["text"] for event in events) == "x" * 200
    assert [event.number for event in events][-2:] == [50, 51]
    later = await dribbled(store, run, "y" * 200, event_limit=50)
    assert [event.data["text"] for event in later[len(events) :]] == ["y", "y" * 199]


async def test_what_waits_to_be_written_when_its_call_ends_is_not_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, waits = store.append_events, anyio.Event()

    async def append_behind_others(run: Run, events: list[RunEvent]) -> int:
        waits.set()
        await store.task(ANN, run.task_id)
        return await append(run, events)

    monkeypatch.setattr(store, "append_events", append_behind_others)
    claim = await claimed(store)
    run = claim.run
    record = RunRecord(store, run, Slot(claim, lambda: None, hands_on=False))
    publishing = EventWriter(record, run, 1000, call_id="call_1")
    async with publishing.serving():
        publishing.publish(MaskedText("x"))
        await waits.wait()
    events = (await store.snapshot(ANN, run.task_id, events_after=0, max_events=10_000)).events
    assert [event.data["text"] for event in events if event.kind == EventKind.CONTENT] == ["x"]
