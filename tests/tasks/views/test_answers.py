"""No task is too odd for an answer of the size that was asked for, as text and as structure."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.mcp import task_text
from server.tasks.requests.fields import LEAST_ANSWER
from server.tasks.requests.request_models import GetTask
from server.tasks.views import task_view
from server.tasks.views.truncation import items
from server.tasks.views.view_models import TaskView
from storage.records.retention import Retention
from storage.records.states import CallStatus
from storage.records.tasks import Snapshot
from tests.tasks.views.odd import ID, snapshots

DAY = 24 * 3600 * 1_000_000
KEPT = Retention(tasks=30 * DAY, logs=7 * DAY, workspaces=7 * DAY)
EVERYTHING = ["messages", "events", "graph"]
SIZES = st.one_of(st.just(8000), st.just(LEAST_ANSWER), st.integers(LEAST_ANSWER, 100_000))

patient = settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def shown(snapshot: Snapshot, **arguments: Any) -> tuple[TaskView, list[str], GetTask]:
    request = GetTask.model_validate({"id": ID, "waitSeconds": 60, **arguments})
    since = None if snapshot.new_parts is None else 999_500
    view = task_view.task(snapshot, KEPT, request, since=since, folder="/" * 4096)
    return view, task_text.task(view, request), request


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("fresh", [False, True], ids=["the whole", "what is new"])
def test_no_task_takes_more_characters_than_were_asked_for(fresh: bool) -> None:
    @patient
    @given(snapshots(fresh=fresh), SIZES, st.sampled_from([[], EVERYTHING]))
    def holds(snapshot: Snapshot, most: int, include: list[str]) -> None:
        view, blocks, _ = shown(snapshot, maxChars=most, include=include)
        assert len(compact(view)) <= most
        assert sum(map(len, blocks)) <= most
        output = view.get("output", {"content": ""})
        assert not output["content"] or output["content"] in blocks[1:]

    holds()


def test_differences_that_are_longer_as_text_are_left_out_and_counted() -> None:
    call = {"callId": "call_1", "call": "a … (300 characters, sha256:0)", "args": {}, "differs": ["\u202e" * 22] * 55}
    view: Any = {"id": ID, "status": "awaiting_approval", "error": None, "lastEvent": 1, "pendingApprovals": [call]}
    blocks = task_text.task(view, GetTask.model_validate({"id": ID}))
    assert sum(map(len, blocks)) <= 8000
    shown = blocks[0].count("differs: ")
    assert f"and {55 - shown} more differences" in blocks[0]
    assert shown > 40


@patient
@given(snapshots(fresh=False), SIZES)
def test_no_call_that_waits_is_lost_in_silence(snapshot: Snapshot, most: int) -> None:
    view, blocks, _ = shown(snapshot, maxChars=most, include=EVERYTHING)
    waiting = [call.id for call in snapshot.calls if call.status is CallStatus.AWAITING_APPROVAL]
    told = [call["callId"] for call in view.get("pendingApprovals", [])]
    assert told == waiting[: len(told)]
    assert len(told) + view.get("omittedApprovals", 0) == len(waiting)
    assert bool(told) == bool(waiting)
    assert all(call_id in blocks[0] for call_id in told)


@patient
@given(snapshots(fresh=False), SIZES)
def test_a_cursor_reads_an_output_whole_without_gap_and_overlap(snapshot: Snapshot, most: int) -> None:
    cursor, pieces = "1:0", []
    while cursor:
        view, blocks, _ = shown(snapshot, maxChars=most, outputCursor=cursor)
        if "output" not in view:
            break
        pieces.append(view["output"]["content"])
        assert not pieces[-1] or pieces[-1] in blocks[1:]
        cursor = view["output"].get("nextCursor", "") if pieces[-1] else ""
        if len(pieces) > 20:
            break
    read = "".join(pieces)
    assert read == snapshot.content[: len(read)]
    assert len(pieces) > 20 or read == snapshot.content


@patient
@given(snapshots(fresh=False), SIZES)
def test_no_field_is_dropped_for_want_of_room(snapshot: Snapshot, most: int) -> None:
    whole, _, _ = shown(snapshot, maxChars=1_000_000)
    short, _, _ = shown(snapshot, maxChars=most)
    counters = {name for name in short if name.startswith("omitted")}
    assert set(short) - counters == {name for name in whole if not name.startswith("omitted")}


def test_items_of_unequal_length_stay_whole_where_they_fit_together() -> None:
    values = ["a", "b" * 200, "c"]
    view: dict[str, list[str]] = {}
    part = items(view, "texts", values, None, narrow=lambda text, room: text[:room])
    part.place(part.want)
    assert view["texts"] == values
