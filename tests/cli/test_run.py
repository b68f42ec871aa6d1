"""`remit run`, `send` and `watch`, as processes."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine
from tests.servers import end, servers

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
SECRET = "a value that nobody sees"
TRAP = "git init -q new && git -C new config core.fsmonitor ./program"


def test_the_output_of_a_task_is_all_that_goes_to_standard_output(remit: CommandLine) -> None:
    assert remit("run", "$ echo one\n$ echo two").stdout == "one\ntwo\n"


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (("echo", "one", "two"), "one two\n"),
        (("echo", "a  b", "$HOME", "it's"), "a  b $HOME it's\n"),
        (("echo one; echo two",), "one\ntwo\n"),
        (("--", "printf", "-v", "x", "y"), ""),
        (("cat <<'EOF'\n$ no prompt\n   ````\nEOF",), "$ no prompt\n   ````\n"),
        (("cd /usr\npwd",), "/usr\n"),
        (("```sh\necho one\n```",), "one\n"),
    ],
)
def test_the_words_are_one_command(remit: CommandLine, words: tuple[str, ...], output: str) -> None:
    done = remit("run", *words)
    assert (done.stdout, done.returncode) == (output, 0)


def test_words_above_a_prompt_are_no_command(remit: CommandLine) -> None:
    done = remit("run", "Look:\n$ echo one")
    assert (done.stdout, done.returncode) == ("", 1)
    assert "line 2 of a block begins with '$ ', and its first command does not" in done.stderr


def test_an_option_of_the_command_is_not_taken_for_one_of_ours(remit: CommandLine) -> None:
    done = remit("run", "ls", "-Q")
    assert (done.returncode, "unrecognized arguments: -Q; write -- before the command" in done.stderr) == (2, True)


def test_the_words_for_an_agent_with_a_model_stay_words(remit: CommandLine) -> None:
    task = remit.json("run", "--detach", "--agent", "none", "Summarise", "the report")
    assert remit.json("show", task["id"])["message"] == "Summarise the report"


def test_an_unfinished_command_is_refused_and_named(remit: CommandLine) -> None:
    done = remit("run", "echo 'a")
    assert (done.returncode, "a single quote (') in line 1" in done.stderr) == (1, True)


def test_the_lines_of_an_unfinished_command_are_counted_as_they_were_typed(remit: CommandLine) -> None:
    done = remit("run", "\necho one\necho 'two")
    assert done.returncode == 1
    assert "a single quote (') in line 3 of its block is never closed; nothing" in done.stderr


def test_the_words_of_a_follow_up_are_one_command_too(remit: CommandLine) -> None:
    task_id = remit.json("run", "true")["id"]
    assert remit("send", task_id, "echo", "a  b").stdout == "a  b\n"


def test_a_completed_task_exits_with_zero(remit: CommandLine) -> None:
    assert remit("run", "true").returncode == 0


def test_a_failed_command_hands_on_its_exit_status(remit: CommandLine) -> None:
    assert remit("run", "$ true\n$ exit 7").returncode == 7


def test_a_failed_task_is_explained_on_one_line(remit: CommandLine) -> None:
    said = remit("run", "echo last words; exit 7").stderr.splitlines()
    assert said[-1] == "remit: failed, EXECUTION_ERROR: `echo last words; exit 7` exited with status 7"


def test_a_task_that_ran_out_of_time_exits_with_one(remit: CommandLine) -> None:
    done = remit("run", "--timeout", "1", "sleep 60")
    assert (done.returncode, "TIMEOUT" in done.stderr) == (1, True)


def test_output_is_shown_while_the_task_goes_on(remit: CommandLine) -> None:
    with remit.start("run", "echo first; until [ -e go ]; do sleep 0.05; done; echo last") as run:
        task_id = run.expect(r"task (\S+)")[1]
        run.expect(r"\nfirst\n")
        Path(remit.home, "workspaces", task_id, "go").touch()
        run.expect(r"last\n")
        assert run.end() == 0


def test_variables_reach_the_task(remit: CommandLine) -> None:
    assert remit("run", "--env", "A=1", "--env", "B=x=y", "echo $A $B").stdout == "1 x=y\n"


def test_a_file_from_anywhere_is_uploaded_under_its_name(remit: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    assert remit("run", "--file", f"{tmp_path}/note.txt", "cat uploads/note.txt").stdout == "hello"


def test_a_file_can_be_given_another_name(remit: CommandLine, project: Path) -> None:
    (project / "note.txt").write_text("hello")
    assert remit("run", "--file", "note.txt:other/name.txt", "cat uploads/other/name.txt").stdout == "hello"


def test_a_colon_in_the_name_of_a_file_that_exists_is_a_part_of_it(remit: CommandLine, project: Path) -> None:
    (project / "a:b").write_text("hello")
    assert remit("run", "--file", "a:b", "cat uploads/a:b").stdout == "hello"


def test_a_file_too_large_to_be_sent_is_read_where_it_lies(remit: CommandLine, project: Path) -> None:
    (project / "large").write_bytes(bytes(9 * 1024**2))
    assert remit("run", "--file", "large", "wc -c < uploads/large").stdout == f"{9 * 1024**2}\n"


def test_a_file_that_is_not_there_is_named(remit: CommandLine) -> None:
    done = remit("run", "--file", "nowhere.txt", "true")
    assert (done.returncode, done.stderr) == (
        1,
        "remit: VALIDATION_ERROR: file nowhere.txt: No such file or directory\n",
    )


def test_a_secret_is_taken_from_the_variable_of_its_name(remit: CommandLine) -> None:
    done = remit(
        "run", "--secret", "TOKEN", 'test "$TOKEN" = "$EXPECTED$REST" && echo $TOKEN', *_halves(), TOKEN=SECRET
    )
    assert (done.returncode, done.stdout) == (0, "[secret TOKEN]\n")


def _halves() -> list[str]:
    """Return the secret as two variables, since a variable that contains all of it is refused."""
    return ["--env", f"EXPECTED={SECRET[:9]}", "--env", f"REST={SECRET[9:]}"]


def test_a_secret_without_a_variable_is_asked_for_and_not_shown(remit: CommandLine) -> None:
    message = 'test "$TOKEN" = "$EXPECTED$REST" && echo it is right'
    with remit.at_terminal("run", "--secret", "TOKEN", message, *_halves()) as run:
        run.expect("value of the secret TOKEN: ")
        run.type(f"{SECRET}\n")
        assert SECRET not in run.expect(r"(?s).*it is right\r\n")[0]


def test_a_secret_without_a_variable_or_a_terminal_is_refused(remit: CommandLine) -> None:
    done = remit("run", "--secret", "TOKEN", "true")
    assert done.returncode == 1
    assert "put its value into the environment variable TOKEN" in done.stderr


def test_a_secret_value_on_the_command_line_is_refused_without_repeating_it(remit: CommandLine) -> None:
    done = remit("run", "--secret", f"TOKEN={SECRET}", "true")
    assert (done.returncode, SECRET in done.stderr) == (2, False)


def test_a_detached_task_prints_its_id_alone(remit: CommandLine) -> None:
    assert re.fullmatch(r"[0-9a-f-]{36}\n", remit("run", "--detach", "true").stdout)


def test_a_detached_task_can_be_watched_from_its_start(remit: CommandLine) -> None:
    task_id = remit.detached("echo one; sleep 0.2; echo two")
    assert remit("watch", task_id).stdout == "one\ntwo\n"


def test_with_json_the_task_is_the_only_output(remit: CommandLine) -> None:
    task = remit.json("run", "echo hello")
    assert (task["status"], task["output"]["content"]) == ("completed", "hello\n")


def test_a_follow_up_shows_only_what_is_new(remit: CommandLine) -> None:
    task_id = remit.json("run", "echo old")["id"]
    assert remit("send", task_id, "echo new").stdout == "new\n"


def test_a_follow_up_brings_a_secret_again(remit: CommandLine) -> None:
    task_id = remit("run", "--detach", "--secret", "TOKEN", "true", TOKEN=SECRET).stdout.strip()
    remit("watch", task_id)
    assert "SECRETS_LOST" in remit("send", task_id, "true").stderr
    assert remit("send", task_id, "--secret", "TOKEN", "echo $TOKEN", TOKEN=SECRET).stdout == "[secret TOKEN]\n"


def test_secrets_that_a_killed_server_lost_are_asked_for_and_brought(own_remit: CommandLine) -> None:
    message = "echo $TOKEN"
    task_id = own_remit("run", "--detach", "--ask", "--secret", "TOKEN", message, TOKEN=SECRET).stdout.strip()
    own_remit.waiting_call(task_id)
    end(servers(own_remit.home)[0], signal.SIGKILL)
    own_remit("approve", task_id)
    with own_remit.start("watch", task_id) as watch:
        watch.expect(f"remit: the server has lost the task's secrets: remit send {task_id} --secret TOKEN\n")
        own_remit("send", task_id, "--detach", "--secret", "TOKEN", TOKEN=SECRET)
        own_remit.waiting_call(task_id)  # the yes was given without the secret
        own_remit("approve", task_id)
        assert watch.end() == 0
    assert own_remit.json("show", task_id)["output"]["content"] == "[secret TOKEN]\n"


def test_ctrl_c_cancels_the_task_of_a_run(remit: CommandLine) -> None:
    with remit.at_terminal("run", "echo working; sleep 60") as run:
        task_id = run.expect(r"task (\S+)\r")[1]
        run.expect(r"\nworking\r\n")
        run.type("\x03")
        assert run.end() == 130
    assert remit.json("show", task_id)["status"] == "cancelled"


def test_ctrl_c_leaves_the_task_of_a_watch_alone(remit: CommandLine) -> None:
    task_id = remit.detached("echo working; sleep 60")
    with remit.at_terminal("watch", task_id) as watch:
        watch.expect(r"\nworking\r\n")
        watch.type("\x03")
        assert watch.end() == 130
    assert remit.json("show", task_id)["status"] == "running"
    remit("cancel", task_id)


def test_a_reader_that_leaves_ends_the_command_quietly(remit: CommandLine) -> None:
    nobody_reads, output = os.pipe()
    os.close(nobody_reads)
    with open(output, "wb") as stdout:
        done = remit.run(["list", "--json"], {}, stdout=stdout)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (r"\033[2J", r"\x1b[2J"),
        (r"\033]0;title\007", r"\x1b]0;title\x07"),
        (r"\302\23331m", r"\x9b31m"),
        (r"\b\b\b", r"\x08\x08\x08"),
        (r"one\rtwo", r"one\rtwo"),
        (r"\342\200\256", r"\u202e"),
    ],
)
def test_nothing_in_the_output_is_obeyed_by_a_terminal(remit: CommandLine, printed: str, shown: str) -> None:
    with remit.at_terminal("run", f"printf '<{printed}>'", NO_COLOR="1") as run:
        run.end()
        assert f"\n<{shown}>\r\n" in run.shown
        assert not CONTROL.search(run.shown.replace("\r\n", "\n"))


def test_output_into_a_pipe_is_passed_on_as_it_is(remit: CommandLine) -> None:
    assert remit("run", r"printf '\033[2J'").stdout == "\x1b[2J"


def test_a_killed_server_is_reported_as_gone(own_remit: CommandLine) -> None:
    with own_remit.start("run", "echo working; sleep 60") as run:
        run.expect("\nworking\n")
        end(servers(own_remit.home)[0], signal.SIGKILL)
        run.expect("INTERRUPTED: the server ended before it answered")
        assert run.end() == 1


def test_a_task_is_given_a_folder_and_shown_with_it(own_remit: CommandLine, project: Path) -> None:
    allowed = {"REMIT_WORKSPACES": json.dumps([str(project)])}
    (project / "file").write_text("mine\n")
    ran = own_remit("run", "cat file", "--workspace", ".", "--mode", "readonly", **allowed)
    assert (ran.returncode, ran.stdout) == (0, "mine\n")
    (task,) = own_remit.json("list")["tasks"]
    assert f"works in    {project}, readonly" in own_remit("show", task["id"]).stdout


@pytest.mark.namespaces
def test_what_was_set_aside_in_a_folder_is_told_at_the_end(own_remit: CommandLine, project: Path) -> None:
    allowed = {"REMIT_WORKSPACES": json.dumps([str(project)])}
    ran = own_remit("run", TRAP, "--workspace", ".", "--mode", "readwrite", **allowed)
    assert "new/.git/config was set aside as" in ran.stderr


@pytest.mark.namespaces
def test_what_was_set_aside_in_a_folder_is_told_after_ctrl_c(own_remit: CommandLine, project: Path) -> None:
    allowed = {"REMIT_WORKSPACES": json.dumps([str(project)])}
    command = f"{TRAP} && echo working; sleep 60"
    with own_remit.at_terminal("run", command, "--workspace", ".", "--mode", "readwrite", **allowed) as run:
        run.expect(r"\nworking\r\n")
        run.type("\x03")
        run.expect("new/.git/config was set aside as")
        assert run.end() == 130


def test_how_to_work_in_a_folder_takes_a_folder(remit: CommandLine) -> None:
    done = remit("run", "true", "--shared")
    assert (done.returncode, "need --workspace FOLDER" in done.stderr) == (1, True)
