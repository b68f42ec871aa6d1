"""The two tables of states."""

import pytest

from storage.records.states import (
    CALL_ENDED,
    CALL_MOVES,
    ENDED,
    SYNONYMS,
    TASK_MOVES,
    CallStatus,
    Status,
    may_become,
    statuses,
)


def test_every_state_has_its_moves() -> None:
    assert set(TASK_MOVES) == set(Status)
    assert set(CALL_MOVES) == set(CallStatus)


def test_an_ended_call_never_moves_again() -> None:
    assert all(not CALL_MOVES[status] for status in CALL_ENDED)


@pytest.mark.parametrize("status", sorted(ENDED))
def test_an_ended_task_leaves_its_end_only_for_a_new_turn(status: Status) -> None:
    assert TASK_MOVES[status] == {Status.PENDING, Status.BLOCKED}


def test_every_open_task_can_be_cancelled() -> None:
    assert all(may_become(status, Status.CANCELLED) for status in set(Status) - ENDED)


def test_no_task_moves_to_where_it_is() -> None:
    assert not any(may_become(status, status) for status in Status)


@pytest.mark.parametrize(("word", "meant"), [("in_progress", {"running", "awaiting_approval"}), ("error", {"failed"})])
def test_a_synonym_stands_for_our_states(word: str, meant: set[str]) -> None:
    assert statuses(word) == meant


def test_no_synonym_hides_a_state_of_ours() -> None:
    assert not set(SYNONYMS) & set(Status)
