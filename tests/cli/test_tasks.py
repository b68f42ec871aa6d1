"""Tasks in lists and in full."""

import json
import re

import pytest

from tests import servers
from tests.cli.command_line import COLUMNS, CommandLine


def test_a_list_shows_id_status_age_and_message(remit: CommandLine) -> None:
    task_id = remit.json("run", "echo hello")["id"]
    assert re.match(rf"{task_id[:8]}  completed +\d+s +\$ echo hello\n", remit("list").stdout)


def test_a_title_stands_in_lists_in_place_of_the_message(remit: CommandLine) -> None:
    remit("run", "--title", "greeting", "echo hello")
    assert remit("list").stdout.partition("\n")[0].endswith(" greeting")


def test_a_list_marks_what_waits_for_approval(remit: CommandLine) -> None:
    remit.waiting("echo hello")
    assert re.search(r"awaiting_approval +\d+s  !1 +\$ echo hello\n", remit("list").stdout)


def test_a_status_that_there_is_not_is_refused_with_those_there_are(remit: CommandLine) -> None:
    refused = remit("list", "--status", "nope").stderr
    assert re.search(r"status\[0\]: must be 'pending', 'blocked', .*, not 'nope'", refused)


def test_a_list_can_be_of_one_status(remit: CommandLine) -> None:
    remit("run", "--title", "good", "true")
    remit("run", "--title", "bad", "false")
    titles = [task["title"] for task in remit.json("list", "--status", "error")["tasks"]]
    assert (titles[0], "good" in titles) == ("bad", False)


@pytest.mark.parametrize("given", [["--status", "Done"], ["--status", "not-started", "--status", "SUCCESS,Finished"]])
def test_a_list_takes_a_status_in_the_words_that_the_tools_take(remit: CommandLine, given: list[str]) -> None:
    remit("run", "true")
    statuses = {task["status"] for task in remit.json("list", *given)["tasks"]}
    assert statuses == {"completed"}


def test_a_list_tells_how_to_see_more(remit: CommandLine) -> None:
    for _ in range(2):
        remit("run", "true")
    total = remit.json("list")["total"]
    assert remit("list", "--limit", "1").stdout.endswith(f"… {total} in all; more with --offset 1\n")


def test_an_empty_list_says_so(own_remit: CommandLine) -> None:
    assert own_remit("list").stdout == "no tasks\n"


def test_a_list_on_a_terminal_fits_its_width(remit: CommandLine) -> None:
    remit("run", "--title", "long " * 90, "true")
    with remit.at_terminal("list", NO_COLOR="1") as listing:
        listing.end()
        assert max(len(line) for line in listing.shown.splitlines()) == COLUMNS


def test_no_message_is_obeyed_by_a_terminal(remit: CommandLine) -> None:
    remit("run", "true \x1b[2Jcleared")
    assert r"\x1b[2Jcleared" in remit("list").stdout


def test_no_color_is_heeded(remit: CommandLine) -> None:
    remit("run", "true")
    with remit.at_terminal("list", NO_COLOR="1") as plain, remit.at_terminal("list") as coloured:
        plain.end()
        coloured.end()
        assert ("\x1b" in plain.shown, "\x1b" in coloured.shown) == (False, True)


async def test_a_task_is_found_by_the_beginning_of_its_id_however_many_are_newer(remit: CommandLine) -> None:
    async with servers.host(remit.home) as host:
        oldest, *_ = [await host.create("a record", agentId="none") for _ in range(101)]
    assert remit.json("show", oldest[:8])["id"] == oldest


def test_too_short_a_beginning_says_how_long_it_must_be(remit: CommandLine) -> None:
    assert (
        "no task 'abcdef0'; list_tasks has the ids of yours, of which 8 characters" in remit("show", "abcdef0").stderr
    )


def test_help_says_how_many_characters_of_an_id_are_enough(remit: CommandLine) -> None:
    assert "(at least 8)" in " ".join(remit("show", "--help").stdout.split())


def test_a_waiting_call_is_shown_on_one_line_with_the_command_that_decides_it(remit: CommandLine) -> None:
    task_id, call_id = remit.waiting("$ echo hello\u200b")
    assert (
        f"  waits       shell: echo hello\\u200b\n              remit approve {task_id} {call_id}\n"
        in remit("show", task_id).stdout
    )


def test_an_error_is_one_line_and_exits_with_one(remit: CommandLine) -> None:
    done = remit("show", "nothing-begins-so")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"remit: NOT_FOUND: there is no task 'nothing-begins-so'; .*\n", done.stderr)


def test_with_json_an_error_is_told_to_programs_too(remit: CommandLine) -> None:
    done = remit("show", "x" * 36, "--json")
    assert json.loads(done.stdout)["error"]["code"] == "NOT_FOUND"


def test_a_task_is_shown_in_full(remit: CommandLine) -> None:
    task_id = remit.json("run", "--title", "greeting", "--env", "WHO=you", "echo hello $WHO")["id"]
    shown = remit("show", task_id).stdout
    facts = (
        "status      completed",
        "title       greeting",
        "env         WHO=you",
        "| $ echo hello $WHO",
        "| hello you",
    )
    assert [fact for fact in facts if fact not in shown] == []


def test_a_task_is_shown_with_its_whole_log_where_it_is_asked_for(remit: CommandLine) -> None:
    many = "$ true\n" * 200
    task_id, _ = remit.waiting(many)
    remit("reject", task_id)
    remit("watch", task_id)  # to its end: what is sent before is refused
    remit("send", task_id, many, "--detach")
    remit.waiting_call(task_id)
    task = remit.json("show", task_id, "--events")
    assert task["lastEvent"] > 500  # more than one answer holds
    assert [event["number"] for event in task["events"]] == list(range(1, task["lastEvent"] + 1))
    remit("cancel", task_id)


def test_an_open_task_is_cancelled(remit: CommandLine) -> None:
    task_id = remit.detached("sleep 60")
    assert remit("cancel", task_id).stdout == "the task is cancelled\n"


def test_a_deleted_task_is_gone(remit: CommandLine) -> None:
    task_id = remit.json("run", "true")["id"]
    assert remit("delete", task_id).stdout == f"deleted {task_id}\n"
    assert "NOT_FOUND" in remit("show", task_id).stderr


def test_agents_are_shown_with_what_the_sandbox_does_not_hold(remit: CommandLine) -> None:
    shown = remit("agents").stdout
    assert shown.startswith("shell (ready)\n")
    assert "  does not hold: " in shown


def test_agents_are_shown_with_what_their_asking_is_worth(remit: CommandLine) -> None:
    shown = remit("agents").stdout
    _, _, claude = shown.partition("\nclaude")
    assert "It is made to ask before everything but reading" in claude.partition("\nopencode")[0]


def test_the_server_tells_its_status_and_stops(own_remit: CommandLine) -> None:
    assert own_remit("server", "status").returncode == 1
    own_remit("list")
    assert own_remit.json("server", "status")["server"]["running"] == 0
    assert own_remit("server", "stop").stdout.startswith("stopped (pid ")


def test_long_output_is_shown_whole(remit: CommandLine) -> None:
    task = remit.json("run", "seq 1 20000")
    shown = [line.removeprefix("  | ") for line in remit("show", task["id"]).stdout.splitlines()]
    assert task["output"]["content"] == "".join(f"{number}\n" for number in range(1, 20_001))
    assert [line for line in shown if line.isdecimal()] == [str(number) for number in range(1, 20_001)]


def test_output_longer_than_any_answer_is_read_piece_by_piece(own_remit: CommandLine) -> None:
    limits = {"REMIT_OUTPUT_LIMIT": "2000000"}
    task = own_remit.json("run", "seq 100000 279999", **limits)
    shown = own_remit.json("show", task["id"], **limits)
    content = "".join(f"{number}\n" for number in range(100_000, 280_000))
    assert len(content) > 1_000_000
    assert task["output"]["content"] == shown["output"]["content"] == shown["messages"][-1]["content"] == content
