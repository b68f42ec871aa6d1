"""Agents that crash, hang, lie, flood or talk nonsense end in a clear failure, or make no difference."""

import tracemalloc
from pathlib import Path

import pytest

from server.agents.acp import connection, run, session
from server.agents.acp.framing import MAX_LINE
from server.agents.interface import Permission, Proposal
from server.errors import Code
from tests.agents.acp.turns import MemoryTurn, failure, never, work

pytestmark = pytest.mark.anyio

MOST_MEMORY = 24 * MAX_LINE
"""Bytes: a line as it came, its text and its values of four bytes a character, each twice while it is read."""


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave these agents little time to heed a cancel: most of them heed none."""
    monkeypatch.setattr(run, "GRACE_SECONDS", 0.1)


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        ("ends_at_once", Code.EXECUTION_ERROR, "with status 3; its last words:\ncannot find my settings"),
        ("dies_at_work", Code.EXECUTION_ERROR, "with status 134; its last words:\nout of luck"),
        ("speaks_another_version", Code.AGENT_UNAVAILABLE, "it speaks version 2 of the protocol, not 1"),
        ("gives_no_session", Code.EXECUTION_ERROR, "gave it no id"),
        ("answers_nonsense", Code.EXECUTION_ERROR, "is not valid: Initialized: protocolVersion"),
        ("refuses_to_work", Code.EXECUTION_ERROR, 'Internal error: {"cause":"no model"}'),
        ("speaks_nonsense_only", Code.EXECUTION_ERROR, "no JSON: Loading... (100 of such)"),
        ("sends_a_huge_line", Code.LIMIT_EXCEEDED, "a message of more than 4194304 bytes"),
        ("floods_with_calls", Code.LIMIT_EXCEEDED, "more than 64 calls under way at once"),
        ("floods_with_questions", Code.LIMIT_EXCEEDED, "more than 32 permissions at once"),
        ("has_calls_of_small_things", Code.LIMIT_EXCEEDED, "open calls take more than 33554432 bytes"),
        ("sends_huge_arguments", Code.LIMIT_EXCEEDED, "more than 1048576 bytes of arguments"),
        ("does_another_thing", Code.EXECUTION_ERROR, "asked for one call of bash and then reported a different one"),
        ("does_not_wait", Code.EXECUTION_ERROR, "without waiting for the permission it had asked for"),
        ("has_to_sign_in", Code.AGENT_UNAVAILABLE, "it has to be signed in: Authentication required"),
    ],
)
async def test_it_fails_and_says_why(tmp_path: Path, behaviour: str, code: Code, words: str) -> None:
    decide = never if behaviour == "does_not_wait" else None
    error = await failure(MemoryTurn(tmp_path, decide=decide), behaviour)
    assert error.code is code
    assert words in error.message


@pytest.mark.parametrize(
    "behaviour",
    ["speaks_long_nonsense", "tells_many_faults", "asks_with_much_besides"],
)
async def test_however_long_its_messages_are_little_of_them_is_kept(tmp_path: Path, behaviour: str) -> None:
    turn = MemoryTurn(tmp_path)
    tracemalloc.start()
    try:
        await work(turn, behaviour)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert turn.text in ("made it", "a")
    assert most < MOST_MEMORY


async def test_the_id_of_a_question_is_short(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "asks_under_a_long_name")
    assert (turn.text, turn.made) == ("made it", [])


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("refusal", Code.EXECUTION_ERROR),
        ("max_tokens", Code.LIMIT_EXCEEDED),
        ("max_turn_requests", Code.LIMIT_EXCEEDED),
        ("cancelled", Code.EXECUTION_ERROR),
        ("whatever", Code.EXECUTION_ERROR),
    ],
)
async def test_a_turn_that_ends_for_another_reason_than_its_end_has_failed(
    tmp_path: Path, reason: str, code: Code
) -> None:
    error = await failure(MemoryTurn(tmp_path, reason), "gives_reason")
    assert error.code is code


async def test_an_agent_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ANSWER_SECONDS", 0.5)
    error = await failure(MemoryTurn(tmp_path), "says_nothing")
    assert error.code is Code.TIMEOUT
    assert "did not answer initialize" in error.message


async def test_a_flood_of_updates_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_MESSAGES", 10_000)
    error = await failure(MemoryTurn(tmp_path), "floods")
    assert error.code is Code.LIMIT_EXCEEDED
    assert "more than 10000 messages in one run" in error.message


async def test_a_little_nonsense_makes_no_difference(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "speaks_nonsense_too")
    assert turn.text == "made it"


async def test_a_flood_of_errors_does_not_stop_it(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "floods_stderr")
    assert turn.text == "made it"


async def test_half_a_character_is_replaced(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "speaks_half_characters")
    assert turn.text == "? and \U0001f600"


async def test_a_question_of_another_session_is_refused(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "asks_in_another_session")
    assert (turn.text, turn.made) == ("error -32602", [])


async def test_a_question_about_a_call_that_has_ended_is_cancelled(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "asks_after_the_end")
    assert turn.text == "cancelled"
    assert [call.status for call in turn.made] == ["success"]


async def test_a_second_question_with_the_id_of_an_open_one_is_not_heard(tmp_path: Path) -> None:
    async def decide(_: Proposal) -> Permission:
        await turn.until(lambda: turn.text == "asked ")  # what comes after both questions
        return Permission.PROCEED

    turn = MemoryTurn(tmp_path, decide=decide)
    await work(turn, "uses_an_id_twice")
    assert (turn.text, [call.args for call in turn.made]) == ("asked a", [{"command": "one"}])


async def test_a_call_id_used_again_is_another_call(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "uses_a_call_id_again")
    assert [(call.args, call.output) for call in turn.made] == [
        ({"command": "one"}, "one"),
        ({"command": "two"}, "two"),
    ]


async def test_a_turn_that_ends_in_the_middle_of_a_question_takes_it_back(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, decide=never)
    await work(turn, "ends_while_asking")
    assert [call.status for call in turn.made] in ([], ["cancelled"])


async def test_what_is_said_after_the_end_is_not_heard(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "speaks_after_the_end")
    assert (turn.text, turn.made) == ("before", [])


async def test_a_call_without_an_end_is_on_record_as_that(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "leaves_a_call_open")
    assert [call.status for call in turn.made] == ["success", "error"]
    assert turn.made[1].output == "the agent ended its turn without telling how this ended"
