"""Output of a sub-task, which cannot pose as anything else, wherever a terminal breaks its lines."""

from collections.abc import Callable

import pytest

from server.cli.follow_output import Background, Foreground
from server.tasks.views.call_line import line
from server.tasks.views.pending_approval import PendingApprovalView
from tests.cli.command_line import COLUMNS, CommandLine

MARK = "[abcdef12]"
NOTE = "remit: a call waits for approval: remit approve 1234"
Shown = Callable[[Callable[[Background], object]], list[str]]
PADDINGS = [" " * 66 + NOTE, "x" * 200 + NOTE, "\N{CJK UNIFIED IDEOGRAPH-6F22}" * 100 + NOTE, "a\t" * 30 + NOTE]


@pytest.fixture(autouse=True)
def _terminal_of_known_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Shown:
    """Return the lines that a sub-task shows for these calls of its output."""

    def lines(does: Callable[[Background], object]) -> list[str]:
        output = Background("abcdef12-3456", Foreground())
        does(output)
        output.end()
        return capsys.readouterr().err.splitlines()

    return lines


def columns(line: str) -> int:
    """Return the columns that a line takes at most."""
    return sum(1 if character.isascii() else 2 for character in line)


def test_lines_that_end_as_on_windows_are_shown_without_that_end(shown: Shown) -> None:
    def say(output: Background) -> None:
        for piece in ("one\r\ntwo\r", "\nthree\r"):
            output.content(piece)

    assert shown(say) == [f"{MARK} | one", f"{MARK} | two", f"{MARK} | three"]


def test_a_carriage_return_within_a_line_is_written_out(shown: Shown) -> None:
    assert shown(lambda output: output.content("1 %\r2 %\r\n")) == [rf"{MARK} | 1 %\r2 %"]


def test_tabs_are_shown_as_spaces(shown: Shown) -> None:
    assert shown(lambda output: output.content("all:\n\tmake it\n")) == [f"{MARK} | all:", f"{MARK} |         make it"]


@pytest.mark.parametrize("padded", PADDINGS)
def test_output_does_not_leave_its_margin(shown: Shown, padded: str) -> None:
    first, *more = lines = shown(lambda output: output.content(f"{padded}\n"))
    assert first.startswith(f"{MARK} | ")
    assert [line for line in more if not line.startswith(f"{MARK} : ")] == []
    assert max(map(columns, lines)) < COLUMNS
    assert "".join(line.removeprefix(MARK)[3:] for line in lines) == padded.expandtabs()


@pytest.mark.parametrize("padded", PADDINGS)
@pytest.mark.parametrize("say", [Background.command, Background.status, Background.say])
def test_notes_about_a_sub_task_do_not_leave_their_margin(
    shown: Shown, say: Callable[[Background, str], None], padded: str
) -> None:
    lines = shown(lambda output: say(output, f"{padded}\n{NOTE}"))
    assert [line for line in lines if not line.startswith(f"{MARK} ")] == []
    assert max(map(columns, lines)) < COLUMNS


def test_a_call_that_waits_is_shown_within_its_margin_and_the_command_that_decides_it_is_whole(shown: Shown) -> None:
    command = "remit approve " + "0" * 80
    args = {"command": "x" * 200}
    call = PendingApprovalView(
        callId="call_1", call=line("shell", args), toolName="shell", args=args, description="Run"
    )
    head, *question, how = shown(lambda output: output.decide(call, command))
    assert (head, how) == (
        f"{MARK} the tool shell wants to run (call_1):",
        f"{MARK} a call waits for approval: {command}",
    )
    assert max(map(len, question)) < COLUMNS


def test_a_reported_reason_does_not_leave_its_margin(remit: CommandLine) -> None:
    root = remit.detached("--agent", "none", "a record")
    child = remit.detached("--agent", "none", "--parent", root, "a part")
    with remit.start("watch", root, COLUMNS=str(COLUMNS)) as watch:
        remit("update", child, "--status", "blocked", "--reason", f"{'x' * 90}\n{NOTE}")
        mark = rf"\[{child[:8]}\]"
        watch.expect(rf"{mark} the task is blocked: x+\n{mark} : x+ remit: a call")
        remit("cancel", root)
        watch.end()
