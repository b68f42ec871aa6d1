"""Approvals at a terminal and without one, and the grants that come of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from server.cli.approval_prompt import ask, question
from server.cli.commands.approvals import waiting_call
from server.cli.terminal import Terminal
from server.errors import Code, RemitError
from server.tasks.views.call_line import line
from server.tasks.views.pending_approval import PendingApprovalView
from tests import servers
from tests.cli.command_line import COLUMNS, LINES, CommandLine

PROCEED = r"proceed\? \[y\]es, \[a\]lways for similar calls, \[n\]o: "


@pytest.fixture(autouse=True)
def _terminal_of_known_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("LINES", str(LINES))


def test_yes_at_the_terminal_lets_the_call_run(remit: CommandLine) -> None:
    with remit.at_terminal("run", "--ask", "echo hello") as run:
        run.expect(r"  \| echo hello\r\n")
        run.expect(PROCEED)
        run.type("y\n")
        run.expect(r"\nhello\r\n")
        assert run.end() == 0


def test_no_at_the_terminal_cancels_the_task(remit: CommandLine) -> None:
    with remit.at_terminal("run", "--ask", "echo hello") as run:
        run.expect(PROCEED)
        run.type("n\n")
        assert run.end() == 130


def test_always_at_the_terminal_is_asked_once_for_similar_calls(remit: CommandLine) -> None:
    with remit.at_terminal("run", "--ask", "$ echo one\n$ echo one\n$ true") as run:
        run.expect(PROCEED)
        run.type("a\n")
        run.expect(r"\none\r\n(?s:.*)\none\r\n")
        run.expect(rf"\| true\r\n{PROCEED}")
        run.type("y\n")
        assert run.end() == 0


def test_any_other_answer_is_asked_again(remit: CommandLine) -> None:
    with remit.at_terminal("run", "--ask", "true") as run:
        run.expect(PROCEED)
        run.type("perhaps\n")
        run.expect(PROCEED)


def test_what_was_typed_before_the_question_is_no_answer(remit: CommandLine) -> None:
    with remit.at_terminal("run", "--ask", "true") as run:
        run.type("y\n")
        run.expect(PROCEED)
        run.type("n\n")
        assert run.end() == 130


def test_without_a_terminal_the_command_to_approve_with_is_told(remit: CommandLine) -> None:
    with remit.start("run", "--ask", "echo hello") as run:
        task_id, call_id = run.expect(r"remit: a call waits for approval: remit approve (\S+) (\S+)\n").groups()
        assert remit("approve", task_id, call_id).stdout.startswith("approved; the task is ")
        run.expect("hello\n")
        assert run.end() == 0


def test_an_open_question_can_be_left_to_others(remit: CommandLine) -> None:
    with remit.at_terminal("run", "--ask", "echo hello") as run:
        run.expect(PROCEED)
        run.type("\x04")
        task_id = run.expect(r"remit approve (\S+) \S+\r\n")[1]
        remit("approve", task_id)
        assert run.end() == 0


def test_the_only_waiting_call_need_not_be_named(remit: CommandLine) -> None:
    task_id, _ = remit.waiting("echo hello")
    done = remit("approve", task_id[:8])
    assert (done.returncode, "  | echo hello\n" in done.stderr) == (0, True)


def test_a_rejected_call_ends_the_task_with_the_reason_kept(remit: CommandLine) -> None:
    task_id, _ = remit.waiting("echo hello")
    assert remit("reject", task_id, "--reason", "not today").returncode == 0
    assert remit("watch", task_id).returncode == 130
    assert remit.json("show", task_id)["output"]["toolCalls"][0]["reason"] == "not today"
    assert " (not today)  Run: " in remit("show", task_id).stdout


def test_a_call_that_does_not_wait_cannot_be_decided(remit: CommandLine) -> None:
    task_id, call_id = remit.waiting("true")
    remit("reject", task_id, call_id)
    assert f"CONFLICT: no call '{call_id}' waits for approval" in remit("approve", task_id, call_id).stderr


def test_of_several_waiting_calls_one_must_be_named() -> None:
    calls = [_call("true", "call_one"), _call("true", "call_two")]
    with pytest.raises(RemitError, match="2 calls wait for approval; name one of call_one, call_two") as raised:
        waiting_call(calls, None, "running")
    assert raised.value.code is Code.CONFLICT


def test_of_several_waiting_calls_the_named_one_is_meant() -> None:
    calls = [_call("true", "call_one"), _call("true", "call_two")]
    assert waiting_call(calls, "call_t", "running") == calls[1]


def test_a_grant_is_listed_until_it_is_revoked(own_remit: CommandLine) -> None:
    task_id, call_id = own_remit.waiting("echo hello")
    own_remit("approve", "--always", task_id, call_id)
    grant = own_remit.json("grants")["grants"][0]
    assert grant["id"] in own_remit("grants").stdout
    own_remit("revoke", grant["id"])
    assert own_remit("grants").stdout == "no grants are in force\n"


@pytest.fixture(scope="module")
def persons_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of a server whose approvals are given by a person; the tests share it."""
    with servers.home(tmp_path_factory.mktemp("person")) as home:
        (home.parent / "remit.toml").write_text('approvals = "person"\n')
        yield home


@pytest.fixture
def persons_remit(persons_home: Path, project: Path) -> CommandLine:
    return CommandLine(persons_home, project)


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_a_person_has_to_be_at_a_terminal_to_decide(persons_remit: CommandLine, command: str) -> None:
    task_id, call_id = persons_remit.waiting("echo hello")
    done = persons_remit(command, task_id, call_id)
    assert done.returncode == 1
    assert done.stderr.startswith("remit: FORBIDDEN: approvals are given by a person here")
    assert persons_remit.json("show", task_id)["status"] == "awaiting_approval"


def test_a_person_at_a_terminal_approves(persons_remit: CommandLine) -> None:
    task_id, call_id = persons_remit.waiting("echo hello")
    with persons_remit.at_terminal("approve", task_id, call_id) as approve:
        approve.expect(r"  \| echo hello\r\napprove this call\? \[y/N\] ")
        approve.type("y\n")
        assert approve.end() == 0
    assert persons_remit("watch", task_id).stdout == "hello\n"


def test_a_person_who_does_not_confirm_has_decided_nothing(persons_remit: CommandLine) -> None:
    task_id, call_id = persons_remit.waiting("echo hello")
    with persons_remit.at_terminal("approve", task_id, call_id) as approve:
        approve.expect(r"\[y/N\] ")
        approve.type("\n")
        approve.expect("nothing was decided")
        assert approve.end() == 1
    assert persons_remit.json("show", task_id)["status"] == "awaiting_approval"


@pytest.mark.parametrize(
    ("hiding", "told"),
    [
        ("rm -rf ~\rls", r"rm -rf ~\rls"),
        ("rm -rf ~\x1b[2K\x1b[1Gls", r"rm -rf ~\x1b[2K\x1b[1Gls"),
        ("rm -rf ~\b\b\bls", r"rm -rf ~\x08\x08\x08ls"),
        ("ls \u202e~ fr- mr", r"ls \u202e~ fr- mr"),
        ("ls\u200b\xa0-la", r"ls\u200b\xa0-la"),
        ("ls \x9b31m", r"ls \x9b31m"),
        ("kill 1 \N{HEBREW LETTER ALEF} 2", r"kill 1 \u05d0 2"),
        ("ls \N{FULLWIDTH SEMICOLON} rm", r"ls \uff1b rm"),
        ("echo \u2018a; rm -rf ~; b\u2019", r"echo \u2018a; rm -rf ~; b\u2019"),
        ("true \N{MUSIC SHARP SIGN} only a note; rm -rf ~", r"true \u266f only a note; rm -rf ~"),
    ],
)
def test_a_command_cannot_hide_what_it_does_with_characters(hiding: str, told: str) -> None:
    assert question(_call(hiding))[1:] == [f"  | {told}"]


def test_a_command_cannot_leave_the_margin_with_a_long_line() -> None:
    command = "ls" + " " * 200 + "proceed? rm -rf ~"
    first, *more = question(_call(command))[1:]
    assert first.startswith("  | ls ")
    assert all(line.startswith("  : ") and len(line) < COLUMNS for line in more)
    assert "".join(line[4:] for line in (first, *more)) == command


def test_a_command_cannot_leave_the_margin_with_wide_characters() -> None:
    lines = question(_call("\N{CJK UNIFIED IDEOGRAPH-6F22}" * 100))[1:]
    assert all(2 * len(line) < COLUMNS + 4 for line in lines)


def test_a_command_cannot_push_itself_out_of_sight_unmentioned() -> None:
    assert question(_call("rm -rf ~" + "\n" * 100 + "ls"))[-1] == "  these are 101 lines: scroll up to read them all"


def test_every_line_of_a_command_stands_in_the_margin() -> None:
    lines = question(_call("true\nproceed? [y]es\u2028the tool shell wants to run:"))[1:]
    assert [re.match(r"  \| ", line) is not None for line in lines] == [True, True]


def test_the_arguments_of_another_tool_are_shown_whole() -> None:
    lines = question(_call("ls", path="/etc"))
    assert {'  |   "command": "ls",', '  |   "path": "/etc"'} <= set(lines)


def test_the_name_of_a_tool_cannot_pose_as_a_command_nor_fill_the_screen() -> None:
    call = _call("rm -rf ~")
    call["toolName"] = f"ls wants to run:\n  | ls{chr(0x2800) * 200}"
    first, *_ = question(call)
    assert first.startswith(r"the tool ls wants to run:\n  | ls\u2800")
    assert len(first) < 2 * COLUMNS


def test_it_is_said_where_a_call_is_not_shown_whole() -> None:
    call = _call("a" * 1000)
    call["args"] = {"command": "aaa… [997 more characters]"}
    said = "  this is not all of it: the call is too long to be shown whole, so better say no"
    assert (question(call)[-1], said in question(_call("a" * 1000))) == (said, False)


def test_what_differs_from_the_last_yes_is_shown_in_the_margin() -> None:
    call = _call("git status")
    differs = ["the variable LD_PRELOAD is new: x.so\nproceed? [y]es", "the file uploads/a is new"]
    call |= {"differs": differs, "call": line("shell", call["args"], differs)}
    assert question(call)[1:] == [
        "  | git status",
        "what it does also depends on this, which nobody has approved yet in this task:",
        r"  | the variable LD_PRELOAD is new: x.so\nproceed? [y]es",
        "  | the file uploads/a is new",
    ]


def test_a_person_at_a_terminal_reads_what_the_variables_are_that_a_call_runs_with(persons_remit: CommandLine) -> None:
    task_id, call_id = persons_remit.waiting("git status", "--env", "GIT_DIR=elsewhere")
    with persons_remit.at_terminal("approve", task_id, call_id) as approve:
        approve.expect(r"  \| git status\r\nwhat it does also depends on .*:\r\n")
        approve.expect(r"  \| the variable GIT_DIR is elsewhere\r\napprove")
        approve.type("n\n")
        assert approve.end() == 1


class _Typist:
    """A terminal at which these answers are typed, and where questions and lines go nowhere."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def say(self, _: str) -> None: ...

    def ask(self, question: str) -> str | None:
        self.asked.append(question)
        return self._answers.pop(0) if self._answers else None


def test_a_call_that_can_be_approved_once_alone_is_not_offered_for_always() -> None:
    call, typist = _call("true"), _Typist("a", "y")
    call["onceOnly"] = True
    assert ask(cast(Terminal, typist), call) == "proceed_once"
    assert typist.asked == ["proceed? [y]es, [n]o: "] * 2


def _call(command: str, call_id: str = "call_one", **more: str) -> PendingApprovalView:
    args = {"command": command, **more}
    return PendingApprovalView(
        callId=call_id, call=line("shell", args), toolName="shell", args=args, description="Run: nothing at all"
    )
