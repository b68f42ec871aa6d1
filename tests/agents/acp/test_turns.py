"""An agent's messages and calls, as its turn records them."""

from pathlib import Path

import anyio
import pytest

from server.agents.acp import client
from server.agents.interface import Permission, Proposal, Usage
from tests.agents.acp.turns import PATIENCE, MemoryTurn, never, refuse, scripted, work

pytestmark = pytest.mark.anyio


def ran(workspace: Path) -> list[str]:
    """Return the commands that the agent has really run, in order."""
    file = workspace / "ran.txt"
    return file.read_text().splitlines() if file.exists() else []


async def test_messages_are_said_as_they_come_and_kept_apart(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "speaks")
    assert turn.text == "Hello there.\n\nAnd now?[resource_link: file:///x]"


async def test_the_pieces_of_a_thought_are_one_and_a_plan_is_another(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "speaks")
    assert turn.thoughts == [("", "let me see"), ("Plan", "[x] look\n[>] act")]


async def test_the_tokens_of_a_prompt_are_counted(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "speaks")
    assert turn.usage == [Usage(input_tokens=105, output_tokens=20)]


async def test_the_message_is_the_prompt(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, "count the files")
    await work(turn, "echoes")
    assert turn.text == "count the files"


async def test_a_system_prompt_stands_in_front_of_the_message(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, "count the files", system_prompt="be brief")
    await work(turn, "echoes")
    assert turn.text == (
        "Instructions for all of this, from whoever asks:\n\nbe brief\n\nThe message:\n\ncount the files"
    )


async def test_a_call_that_may_proceed_is_made_and_its_end_is_on_record(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "runs")
    (call,) = turn.made
    assert (call.tool_name, call.args, call.status, call.output) == (
        "bash",
        {"command": "make"},
        "success",
        "make is done",
    )
    assert ran(tmp_path) == ["make"]


async def test_a_call_that_is_refused_is_not_made(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, decide=refuse)
    await work(turn, "runs")
    assert [call.status for call in turn.made] == ["cancelled"]
    assert (ran(tmp_path), turn.text) == ([], "refused")


async def test_the_agent_waits_as_long_as_nobody_decides(tmp_path: Path) -> None:
    decided = anyio.Event()

    async def decide(_: Proposal) -> Permission:
        assert ran(tmp_path) == []
        await decided.wait()
        return Permission.PROCEED

    turn = MemoryTurn(tmp_path, decide=decide)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(scripted("runs").work, turn)
            await turn.until(lambda: [call.status for call in turn.made] == ["awaiting_approval"])
            decided.set()
    assert ran(tmp_path) == ["make"]


async def test_a_call_that_was_not_asked_for_is_told(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, decide=never)
    await work(turn, "runs_unasked")
    (call,) = turn.made
    assert (call.args, call.status, call.output) == ({"command": "make"}, "success", "made")


async def test_a_call_under_way_that_was_not_asked_for_is_told_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "UNASKED_SECONDS", 0.1)
    turn = MemoryTurn(tmp_path, decide=never)
    async with anyio.create_task_group() as group:
        group.start_soon(scripted("is_long_at_it").work, turn)
        await turn.until(lambda: [call.status for call in turn.made] == ["executing"])
        group.cancel_scope.cancel()


async def test_a_call_that_is_asked_for_late_waits_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "UNASKED_SECONDS", 0.1)
    turn = MemoryTurn(tmp_path)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(scripted("asks_late").work, turn)
            await turn.until(lambda: [call.status for call in turn.made] == ["executing"])
            (tmp_path / "go on").touch()
    assert [(call.status, call.output) for call in turn.made] == [
        ("error", "the agent had not begun: it asks for permission now"),
        ("success", "made"),
    ]


async def test_arguments_that_come_after_the_question_are_what_is_asked_for(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "tells_arguments_late")
    assert [(call.tool_name, call.args) for call in turn.made] == [("notes_erase", {"text": "all"})]


async def test_a_call_without_arguments_is_asked_for_by_what_is_told_of_it(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "tells_no_arguments")
    (call,) = turn.made
    assert (call.tool_name, call.args) == ("run_shell_command", {"title": "ls -la", "locations": [{"path": "/w"}]})


async def test_an_edit_shows_its_difference(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "edits")
    assert [(call.tool_name, call.output) for call in turn.made] == [("Edit", "a.txt\n-one\n+two\n")]


async def test_two_questions_at_once_get_each_its_own_answer(tmp_path: Path) -> None:
    async def decide(proposal: Proposal) -> Permission:
        return Permission.REFUSED if proposal.args["command"] == "one" else Permission.PROCEED

    turn = MemoryTurn(tmp_path, decide=decide)
    await work(turn, "asks_twice_at_once")
    assert turn.text.startswith("n a")


async def test_another_question_about_the_same_call_is_a_decision_of_its_own(tmp_path: Path) -> None:
    async def decide(proposal: Proposal) -> Permission:
        return Permission.PROCEED if "folder" in proposal.args else Permission.REFUSED

    turn = MemoryTurn(tmp_path, decide=decide)
    await work(turn, "asks_for_another_thing_too")
    assert turn.text == "a n"
    assert [call.args for call in turn.made] == [{"folder": "/x"}, {"command": "make"}]


@pytest.mark.parametrize(("decide", "answers"), [(None, "a a"), (refuse, "n n")])
async def test_a_question_asked_again_has_the_same_answer(tmp_path: Path, decide: None, answers: str) -> None:
    turn = MemoryTurn(tmp_path, decide=decide)
    await work(turn, "asks_again")
    assert turn.text.startswith(answers)
    assert len(turn.made) == 1


async def test_an_answer_for_which_there_is_no_option_is_cancelled(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "has_no_such_options")
    assert turn.text == "cancelled"


async def test_an_agent_that_stops_without_a_word_when_refused_is_told_to_go_on(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, decide=refuse)
    await work(turn, "stops_when_refused")
    assert "bash command: make: was refused: no" in turn.text
    assert "Go on without it" in turn.text


async def test_a_method_of_the_client_that_is_not_there_is_refused(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "asks_what_is_not_there")
    assert turn.text == "-32601"


async def test_a_question_that_is_given_up_waits_no_more(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, decide=never)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(scripted("gives_a_question_up").work, turn)
            await turn.until(lambda: [call.status for call in turn.made] == ["awaiting_approval"])
            (tmp_path / "go on").touch()
    assert [(call.status, call.output) for call in turn.made] == [
        ("cancelled", "the agent did not wait for the answer")
    ]
    assert turn.text == "never mind"


async def test_a_cancelled_agent_is_told_so_and_its_questions_are_answered_with_it(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, decide=never)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(scripted("is_cancelled").work, turn)
            await turn.until(lambda: [call.status for call in turn.made] == ["awaiting_approval"])
            group.cancel_scope.cancel()
    assert (tmp_path / "cancelled.txt").read_text() == "session/cancel cancelled"


async def test_an_agent_that_heeds_no_cancel_is_ended(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(scripted("heeds_no_cancel").work, turn)
            await turn.until(lambda: turn.text == "at it.")
            group.cancel_scope.cancel()
