"""State that carries on from one command of a message to the next, and state that does not."""

from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.servers import Host

SECRET = "open-sesame-17"


async def output(host: Host, message: str, **arguments: Any) -> str:
    task = await host.done(message, **arguments)
    assert task["status"] == "completed", task["error"]
    return str(task["output"]["content"])


def stored(home: Path) -> bytes:
    """Return everything that stands in files of a state folder itself."""
    return b"".join(path.read_bytes() for path in home.iterdir() if path.is_file())


async def warnings(host: Host, task_id: str) -> list[str]:
    """Return what the log of a task warns of."""
    task = await host.call("get_task", id=task_id, include=["events"], maxChars=100_000)
    return [event["data"]["message"] for event in task["events"] if event["type"] == "warning"]


@pytest.mark.parametrize("sandbox", ["auto", "off"])
async def test_folder_and_exported_variables_carry_on(own_home: Path, sandbox: str) -> None:
    async with servers.host(own_home, REMIT_SANDBOX=sandbox) as host:
        message = "$ mkdir 'a b'; cd 'a b'; export A='1\n2' B=x\n$ basename \"$PWD\"; echo \"$A$B\"\n$ pwd | xargs echo"
        assert (await output(host, message, env={"B": "y"})).startswith("a b\n1\n2x\n")


@pytest.mark.parametrize(("command", "line"), [("cd /nowhere || true", 1), ("true\ncd /nowhere || true", 2)])
async def test_what_a_shell_says_of_a_line_counts_those_of_its_command(host: Host, command: str, line: int) -> None:
    assert f": line {line}: cd: /nowhere: " in await output(host, f"```sh\n{command}\n```\n$ true")


async def test_what_is_unset_stays_unset(host: Host) -> None:
    assert await output(host, '$ unset A\n$ true\n$ echo "[${A-gone}]"', env={"A": "1"}) == "[gone]\n"


async def test_the_folder_before_carries_on(host: Host) -> None:
    message = "$ mkdir -p a/b; cd a\n$ cd b\n$ cd -\n$ cd - >/dev/null; basename $PWD"
    assert (await output(host, message)).endswith("/a\nb\n")


async def test_a_folder_entered_by_a_link_is_left_by_it(host: Host) -> None:
    message = '$ mkdir -p deep/er; ln -s deep/er link; cd link\n$ basename "$PWD"; cd ..\n$ ls -d link'
    assert await output(host, message) == "link\nlink\n"


async def test_the_next_message_begins_anew(host: Host) -> None:
    task = await host.done("$ mkdir sub; cd sub; export A=1\n$ pwd")
    await host.call("send_message", id=task["id"], message='$ basename "$PWD"; echo "[$A]"')
    task = await host.until(task["id"], "completed")
    assert task["output"]["content"] == f"{task['id']}\n[]\n"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("exit 3", 3),
        ("false", 1),
        ("set -e; false; true", 1),
        ("kill -TERM $$", 143),
        ("sh -c 'exit 9'", 9),
        ("trap 'exit 4' EXIT", 4),
        ("no-such-program", 127),
        ("if", None),
    ],
)
async def test_a_command_that_is_not_the_last_ends_as_it_would_alone(
    host: Host, command: str, status: int | None
) -> None:
    if status is None:
        assert (await host.fail("create_task", message=f"$ {command}\n$ true"))["code"] == "VALIDATION_ERROR"
        return
    task = await host.done(f"$ {command}\n$ true")
    assert [call.get("exitStatus") for call in task["output"]["toolCalls"]] == [status, None]


@pytest.mark.parametrize(
    "ending", ["exit", "exit 0", "set -e", "set -x", "set -u", "trap 'echo bye' EXIT", "sleep 60 &", "set -- a b"]
)
async def test_it_carries_on_however_a_command_succeeds(host: Host, ending: str) -> None:
    assert (await output(host, f"$ mkdir sub; cd sub; {ending}\n$ basename $PWD")).endswith("sub\n")


async def test_a_command_sees_no_words_and_no_descriptors_of_ours_as_its_input(host: Host) -> None:
    assert await output(host, '$ echo "$#" "$0"; cat\n$ true') == "0 bash\n"


@pytest.mark.parametrize("ending", ["exec true", "trap 'echo bye' EXIT; exit 0"])
async def test_where_nothing_could_be_recorded_no_further_command_runs(host: Host, ending: str) -> None:
    task = await host.done(f"$ mkdir sub; cd sub; {ending}\n$ touch ../here")
    assert (task["status"], "was not run" in task["error"]) == ("failed", True)
    assert "are not known" in task["error"]


@pytest.mark.parametrize("removed", ['cd "${TMPDIR:-/tmp}"; mkdir x; cd x', "mkdir x; cd x; rmdir ../x"])
async def test_a_command_whose_folder_is_gone_does_not_run_in_another(host: Host, removed: str) -> None:
    task = await host.done(f"$ touch precious; {removed}\n$ rm -rf *")
    assert task["status"] == "failed"
    assert "not there any more" in task["error"]
    assert await output_of_next(host, task["id"], "$ ls precious") == "precious\n"


async def output_of_next(host: Host, task_id: str, message: str) -> str:
    await host.call("send_message", id=task_id, message=message)
    return str((await host.until(task_id, "completed"))["output"]["content"])


async def test_a_variable_that_was_not_exported_is_not_taken_for_an_empty_one(host: Host) -> None:
    task = await host.done("$ touch precious; DIR=nowhere\n$ rm -rf ./$DIR*")
    assert "write `export DIR=…`" in task["error"]
    assert await output_of_next(host, task["id"], "$ ls precious") == "precious\n"


async def test_a_command_that_sets_a_variable_itself_may_use_it(host: Host) -> None:
    assert await output(host, "$ for f in 1; do :; done\n$ for f in 2; do echo $f; done") == "2\n"


@pytest.mark.parametrize(
    "command",
    [
        "echo '$DIR'",
        'awk "{ print \\$DIR }" /dev/null',
        "true # $DIR",
        "cat <<'E' >/dev/null\necho $DIR\nE",
        "read -r DIR < /dev/null || echo $DIR",
        "DIR=x; echo $DIR",
        "for DIR in 1; do echo $DIR; done",
        "echo ${DIR:=x}",
        "DIR=1; DIR=$DIR:2",
        "echo DIR=3 > env; . ./env; echo $DIR",
    ],
)
async def test_a_command_that_does_not_read_what_is_lost_runs(host: Host, command: str) -> None:
    await output(host, f"$ DIR=nowhere\n$ {command}")


@pytest.mark.parametrize(
    "command",
    [
        'echo "a $DIR"',
        "cp $DIR DIR",
        "rm -rf ${DIR}/x # not DIR",
        "cat <<E\n$DIR\nE",
        "echo $((DIR + 1))",
        "((DIR > 1)) || true",
        "DIR=$((DIR + 1)); echo $DIR",
        "echo `basename $DIR`",
        "export DIR; printenv DIR || true",
        "echo ${#DIR}",
        'awk -v DIR="a $DIR" "BEGIN { print DIR }"',
    ],
)
async def test_a_command_that_reads_what_is_lost_does_not_run(host: Host, command: str) -> None:
    task = await host.done(f"$ DIR=nowhere\n$ {command}")
    assert "the variable DIR that it uses is not carried on" in (task["error"] or "")


async def test_an_exported_variable_that_is_not_kept_is_said_and_its_old_value_gone(host: Host) -> None:
    message = "$ export URL=db://$TOKEN\n$ printenv URL || echo none"
    task = await host.done(message, env={"URL": "old"}, secrets={"TOKEN": SECRET})
    assert task["output"]["content"] == "none\n"
    assert await warnings(host, task["id"]) == [
        "not carried on to the next command: the variable URL, since its value contains the secret TOKEN"
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("set -o pipefail", "shell options (pipefail)"),
        ("shopt -s globstar", "shell options (globstar)"),
        ("umask 027", "umask"),
        ("IFS=,", "IFS"),
        ("set -- a b", "arguments ($1 …)"),
        ("ulimit -n 100", "ulimit"),
        ("trap 'echo bye' INT", "traps"),
        ("trap 'echo bye' EXIT", "traps"),
        ("trap true DEBUG", "traps"),
        ("exec 3> log", "redirections (exec)"),
        ("exec > log", "redirections (exec)"),
        ("exec 2> log", "redirections (exec)"),
        ("exec < /etc/passwd; exit 0", "redirections (exec)"),
    ],
)
async def test_settings_of_the_shell_are_left_behind_and_said(host: Host, command: str, said: str) -> None:
    task = await host.done(f"$ {command}\n$ true")
    assert await warnings(host, task["id"]) == [f"not carried on to the next command: {said}"]


@pytest.mark.parametrize(
    "command",
    ["true", "exit 0", "f() { exit 0; }; unset -f f", "echo x > log", "trap true INT; trap - INT", "(ulimit -n 100)"],
)
async def test_a_command_that_leaves_nothing_else_brings_no_warning(host: Host, command: str) -> None:
    task = await host.done(f"$ {command}\n$ true")
    assert await warnings(host, task["id"]) == []


@pytest.mark.parametrize("array", ["A=(1 2)", "declare -A A=([x]=1)"])
async def test_an_array_is_not_said_to_be_one_that_can_be_exported(host: Host, array: str) -> None:
    task = await host.done(f"$ {array}\n$ echo ${{A[x]}}")
    assert "since it is an array, which cannot be exported" in task["error"]


async def test_a_trap_of_every_command_does_not_disturb_the_record(host: Host) -> None:
    assert (await output(host, "$ mkdir sub; cd sub; trap 'echo x' DEBUG\n$ basename $PWD")).endswith("\nsub\n")


async def test_nothing_of_ours_is_exported_with_all(host: Host) -> None:
    assert await output(host, "$ set -a; A=1\n$ env | grep -c remit_ || echo $A") == "0\n1\n"


async def test_functions_options_and_processes_are_left_behind_and_said(host: Host) -> None:
    task = await host.done("$ f() { :; }; set -u; sleep 60 &\n$ f")
    said = await warnings(host, task["id"])
    assert [warning.partition(": ")[2] for warning in said] == [
        "shell options (-u)",
        "functions (f)",
        "1 process in the background, which was ended",
    ]
    assert "functions (f) of `f() { :; }; set -u; sleep 60 &`" in task["error"]


async def test_what_is_left_behind_is_said_where_a_task_is_read_and_only_once(host: Host) -> None:
    task = await host.done("$ f() { :; }\n$ true")
    left = "not carried on to the next command: functions (f)"
    assert task["warnings"] == [left]
    seen = await host.client.call_tool("get_task", {"id": task["id"]})
    assert f"Warning: {left}" in seen.content[0].model_dump()["text"].splitlines()
    assert "warnings" not in await host.call("get_task", id=task["id"], afterEvent=task["lastEvent"])


@pytest.mark.parametrize("value", ["$TOKEN", "Bearer $TOKEN", "$(printf %s $TOKEN | base64)"])
async def test_a_variable_that_holds_a_secret_is_nowhere_kept(host: Host, value: str) -> None:
    task = await host.done(f'$ export AUTH="{value}" OTHER=1\n$ echo $OTHER\n$ echo $AUTH', secrets={"TOKEN": SECRET})
    assert task["output"]["content"] == "1\n"
    assert "contains the secret TOKEN" in task["error"]
    assert SECRET.encode() not in stored(host.home)


@pytest.mark.parametrize("left", ['export "$LONG$NAME=$NAME"', 'alias "$LONG$NAME=true"'], ids=["variable", "alias"])
async def test_of_a_secret_in_a_long_name_no_part_is_told(host: Host, left: str) -> None:
    env, secrets = {"LONG": "x" * 30}, {"NAME": "hidden_value_of_the_task"}
    task = await host.done(f"$ {left}\n$ true", env=env, secrets=secrets)
    events = (await host.call("get_task", id=task["id"], include=["events"]))["events"]
    (warning,) = [event["data"]["message"] for event in events if event["type"] == "warning"]
    assert "with a name of 54 characters" in warning
    assert b"xhidden" not in stored(host.home)


async def test_a_secret_too_short_to_be_masked_is_not_kept_either(host: Host) -> None:
    task = await host.done("$ export CODE=x$PIN\n$ echo $CODE", secrets={"PIN": "4711"})
    assert "contains the secret PIN" in task["error"]


async def test_a_folder_named_for_a_secret_keeps_the_next_command_from_running(host: Host) -> None:
    task = await host.done("$ mkdir $TOKEN; cd $TOKEN\n$ touch x", secrets={"TOKEN": SECRET})
    assert "contains a secret" in task["error"]


async def test_a_shell_that_can_start_no_program_any_more_says_nothing_of_ours(host: Host) -> None:
    task = await host.done("$ export BIG=$(head -c 200000 /dev/zero | tr '\\0' x)\n$ echo $BIG")
    assert task["output"]["content"] == ""


async def test_too_much_is_left_behind_and_said_where_it_is_used(host: Host) -> None:
    big = "$(head -c 66000 /dev/zero | tr '\\0' x)"
    task = await host.done(f"$ export BIG={big} SMALL=1\n$ echo $SMALL\n$ echo $BIG")
    assert task["output"]["content"] == "1\n"
    assert "65536 bytes in all" in task["error"]


@pytest.mark.parametrize(
    "forged",
    [
        "python3 -c \"import os; os.pwrite(197, b'x' * 600_000, 0)\"",
        'python3 -c "import os; os.pwrite(197, bytes(524288), 0)"; exec true',
        'python3 -c "import os; os.ftruncate(197, 1)"',
        "printf() { :; }",
    ],
)
async def test_a_forged_record_harms_nobody(host: Host, forged: str) -> None:
    task = await host.done(f"$ {forged} 2>/dev/null; true\n$ true")
    assert task["status"] in ("completed", "failed")
    assert await output(host, "$ echo fine") == "fine\n"


async def test_it_carries_on_over_a_wait_and_a_restart(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        message = "$ mkdir sub; cd sub; export A=1\n$ basename $PWD; echo $A"
        task_id, call = await host.waiting(message)
        await host.decide(task_id, call, "proceed_once")
        call = await host.waiting_call(task_id)
        servers.kill(killed_home)
    async with servers.host(killed_home) as host:
        await host.decide(task_id, call, "proceed_once")
        assert (await host.until(task_id, "completed"))["output"]["content"] == "sub\n1\n"


async def test_who_decides_reads_what_is_carried_on(host: Host) -> None:
    task_id, call = await host.waiting("$ cd /usr; export PATH=/evil:$PATH\n$ ls x")
    await host.decide(task_id, call, "proceed_once")
    await host.waiting_call(task_id)
    (pending,) = (await host.call("get_task", id=task_id))["pendingApprovals"]
    assert pending["args"]["folder"] == "/usr"
    assert pending["args"]["variables"]["PATH"].startswith("/evil:")
    assert pending["description"] == "Run: ls x (in /usr; with PATH as the commands before have set them)"
    assert "/evil:" in pending["call"]


@pytest.mark.parametrize("before", ["export PATH=.:$PATH", "export LD_PRELOAD=./x.so", "cd /usr"])
async def test_what_was_approved_for_always_is_not_so_where_something_is_carried_on(host: Host, before: str) -> None:
    task_id, call = await host.waiting("$ ls /usr")
    await host.decide(task_id, call, "proceed_always")
    await host.until(task_id, "completed")
    await host.call("send_message", id=task_id, message=f"$ ls /usr\n$ {before}\n$ ls /usr")
    call = await host.waiting_call(task_id)
    await host.decide(task_id, call, "proceed_once")
    waiting = await host.until(task_id, "awaiting_approval")
    (pending,) = waiting["pendingApprovals"]
    assert pending["args"]["command"] == "ls /usr"
    await host.decide(task_id, pending["callId"], "cancel")


async def test_a_block_is_run_by_the_interpreter_that_its_first_line_names(host: Host) -> None:
    script = "```sh\n#!/usr/bin/env python3\nimport os\nprint(os.path.basename(os.getcwd()), os.environ['A'])\n```"
    assert await output(host, f"$ mkdir sub; cd sub; export A=1\n{script}\n$ basename $PWD") == "sub 1\nsub\n"


async def test_commands_are_run_by_bash(host: Host) -> None:
    assert await output(host, '$ a=(1 2); [[ -n $BASH_VERSION ]] && echo "${a[1]}"') == "2\n"
