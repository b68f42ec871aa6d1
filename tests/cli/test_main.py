"""The command line as a whole: how it starts, what it helps with, and how an id is completed."""

import re
import subprocess
import sys

from server.version import VERSION
from tests.cli.command_line import CommandLine
from tests.servers import LAUNCHER, environment


def test_a_list_imports_none_of_the_slow_packages(remit: CommandLine) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(LAUNCHER), "list"],
        env=environment(remit.home),
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert imported.isdisjoint({"mcp", "mcp_types", "pydantic", "pydantic_settings", "anyio", "asyncio", "jinja2"})


def test_the_version_is_told(remit: CommandLine) -> None:
    assert remit("--version").stdout == f"remit {VERSION}\n"


def test_the_help_names_every_command(remit: CommandLine) -> None:
    commands = set(re.findall(r"^    (\w+)  ", remit("--help").stdout, re.MULTILINE))
    tasks = "run send watch list show agents update graph cancel delete approve reject grants revoke"
    assert commands == {*tasks.split(), "demo", "doctor", "backup", "restore", "prune", "server"}


def test_an_unknown_command_is_refused(remit: CommandLine) -> None:
    done = remit("dance")
    assert (done.returncode, "invalid choice: 'dance'" in done.stderr) == (2, True)


def test_a_word_too_many_is_refused(remit: CommandLine) -> None:
    done = remit("list", "hello")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "remit: error: unrecognized arguments: hello")


def test_ctrl_c_ends_a_command_without_a_traceback(remit: CommandLine) -> None:
    with remit.at_terminal("run", "--secret", "TOKEN", "true") as run:
        run.expect("value of the secret TOKEN: ")
        run.type("\x03")
        assert run.end() == 130
        assert "Traceback" not in run.shown


def test_other_settings_than_the_servers_are_pointed_out(remit: CommandLine) -> None:
    remit("list")
    assert "the running server was started with other REMIT_* settings" in remit("list", REMIT_TIMEOUT="7").stderr


def test_options_take_words_as_the_tools_take_them(remit: CommandLine) -> None:
    task_id = remit.detached("--on-interrupt", "RESUME", "true")
    refused = remit("run", "true", "--workspace", str(remit.folder), "--mode", "Read-Only").stderr
    assert remit.json("show", task_id)["onInterrupt"] == "resume"
    assert "workspace.mode" not in refused  # the folder is refused, since the settings allow none


def test_a_word_that_an_option_does_not_take_is_refused_with_those_that_it_takes(remit: CommandLine) -> None:
    assert (
        "onInterrupt: must be 'fail', 'retry' or 'resume', not 'redo'"
        in remit("run", "--on-interrupt", "redo", "true").stderr
    )
