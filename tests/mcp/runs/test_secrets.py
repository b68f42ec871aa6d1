"""A secret is in the sandbox, in memory, and nowhere else."""

import base64
import hashlib
import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from server.tasks.validation import UNMASKED
from tests import servers
from tests.servers import Host

SECRET = "s3cr3t/Value+with=odd&signs"


@pytest.mark.behaviour("create_task:env:variables", "create_task:secrets:win")
async def test_secrets_are_variables_of_the_commands_and_win_over_env(host: Host) -> None:
    task = await host.done('$ printf %s "$A" | wc -c', env={"A": "x"}, secrets={"A": "hidden-value"})
    assert task["output"]["content"] == "12\n"
    assert (task["env"], task["secretNames"]) == ({"A": "x"}, ["A"])


@pytest.mark.behaviour("create_task:templates:env")
async def test_templates_in_env_are_filled_in_at_the_last_moment(host: Host) -> None:
    env = {"URL": "https://<<mcp.USER>>:{{ mcp.TOKEN | urlencode }}@host", "USER": "me"}
    task = await host.done('$ printf %s "$URL" | md5sum', env=env, secrets={"TOKEN": "a&b&c&"})
    assert task["output"]["content"] == f"{_md5('https://me:a%26b%26c%26@host')}  -\n"
    assert task["env"] == env


async def test_what_a_template_makes_of_a_secret_is_masked_too(host: Host) -> None:
    env = {"A": "{{mcp.S|urlencode|b64encode}}", "B": "<<mcp.S|trim>>"}
    task = await host.done('$ echo "$A"; echo "$B"; echo $S', env=env, secrets={"S": " a secret & more "})
    assert task["output"]["content"] == "[secret S]\n" * 3


async def test_a_request_that_contains_a_secrets_value_is_refused_and_names_the_field(host: Host) -> None:
    texts = {"message": f"$ echo {SECRET}", "title": SECRET, "env": {"A": base64.b64encode(SECRET.encode()).decode()}}
    for field, value in texts.items():
        error = await host.fail("create_task", **{"message": "$ true", "secrets": {"S": SECRET}, field: value})
        assert error["code"] == "VALIDATION_ERROR"
        assert error["field"].startswith(field)
        assert SECRET not in json.dumps(error)


async def test_a_secret_whose_name_is_the_value_of_another_is_refused(host: Host) -> None:
    error = await host.fail("create_task", message="$ true", secrets={"hidden_value": "another", "S": "hidden_value"})
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "secrets")


async def test_a_value_too_short_to_mask_is_warned_of(host: Host) -> None:
    created = await host.call("create_task", message="$ true", secrets={"PIN": "1234"})
    assert ["PIN" in warning for warning in created["warnings"]] == [True]


@pytest.mark.behaviour("send_message:secrets")
async def test_literal_secrets_must_be_sent_again_with_the_next_message(host: Host) -> None:
    task = await host.done("$ true", secrets={"S": SECRET})
    error = await host.fail("send_message", id=task["id"], message="$ true")
    assert (error["code"], error["missing"]) == ("SECRETS_LOST", ["S"])
    await host.call("send_message", id=task["id"], message='$ echo "${#S}"', secrets={"S": "another"})
    assert (await host.until(task["id"], "completed"))["output"]["content"] == "7\n"
    await host.call("send_message", id=task["id"], message='$ echo "[$S]"', secrets={"S": None})
    assert (await host.until(task["id"], "completed"))["output"]["content"] == "[]\n"


async def test_secrets_by_name_come_from_the_operators_settings(own_home: Path) -> None:
    (own_home.parent / "token").write_text("from-a-file\n")
    (own_home.parent / "remit.toml").write_text(
        f'[secrets.A]\nfile = "{own_home.parent}/token"\n[secrets.B]\ncommand = ["printf", "from-%s", "a-command"]\n'
    )
    async with servers.host(own_home) as host:
        task = await host.done('$ printf %s "$A/$B" | md5sum; echo $A', secretNames=["A", "B"])
        assert task["output"]["content"] == f"{_md5('from-a-file/from-a-command')}  -\n[secret A]\n"
        assert (await host.call("list_agents"))["secretNames"] == ["A", "B"]
        (own_home.parent / "token").unlink()
        error = await host.fail("create_task", message="$ true", secretNames=["A"])
        assert (error["code"], error["secret"]) == ("EXECUTION_ERROR", "A")


async def test_a_secret_by_name_that_a_later_turn_lacks_is_masked_where_it_was_written(own_home: Path) -> None:
    (own_home.parent / "remit.toml").write_text('[secrets.A]\ncommand = ["printf", "from-a-command"]\n')
    async with servers.host(own_home) as host:
        task = await host.done('$ echo "$A" > a', secretNames=["A"])
        await host.call("send_message", id=task["id"], message='$ cat a; echo "[$A]"', secrets={"A": None})
        output = (await host.until(task["id"], "completed"))["output"]["content"]
    assert output == "[secret A]\n[]\n"


async def test_a_secret_by_name_that_a_later_turn_lacks_and_that_cannot_be_read_is_warned_of(own_home: Path) -> None:
    (own_home.parent / "token").write_text("from-a-file\n")
    (own_home.parent / "remit.toml").write_text(f'[secrets.A]\nfile = "{own_home.parent}/token"\n')
    async with servers.host(own_home) as host:
        task = await host.done("$ true", secretNames=["A"])
        (own_home.parent / "token").unlink()
        sent = await host.call("send_message", id=task["id"], message="$ true", secrets={"A": None})
    assert sent["warnings"] == [UNMASKED.format("A")]


async def test_a_typed_secret_that_is_given_up_is_warned_of(host: Host) -> None:
    task = await host.done("$ true", secrets={"S": SECRET})
    sent = await host.call("send_message", id=task["id"], message="$ true", secrets={"S": None})
    assert sent["warnings"] == [UNMASKED.format("S")]


@pytest.mark.behaviour(
    "create_task:secrets:never_stored", "create_task:secrets:never_logged", "create_task:secrets:never_returned"
)
async def test_a_secret_that_is_printed_is_in_no_answer_and_no_file(own_home: Path) -> None:
    """In every form a program gives it in passing, at each alignment, cut at every place."""
    script = """
import base64, json, os, sys, urllib.parse
s = os.environ["S"].encode()
forms = [s, s.hex().encode(), s.hex().upper().encode(), urllib.parse.quote(s, safe="").encode()]
forms += [base64.b64encode(b"x" * n + s + b"yz") for n in range(3)]
forms += [base64.urlsafe_b64encode(b"x" * n + s) for n in range(3)]
forms += [json.dumps({"k": s.decode()}).encode()]
for form in forms:
    for place in range(len(form) + 1):
        for part in (form[:place], form[place:]):
            sys.stdout.buffer.write(part); sys.stdout.flush()
        print()
"""
    files = [{"path": "p.py", "content": script}]
    async with servers.host(own_home) as host:
        task = await host.done("$ python3 uploads/p.py", secrets={"S": SECRET}, files=files)
        assert task["status"] == "completed", task["error"]
        answers = [
            json.dumps(await host.call("get_task", id=task["id"], maxChars=1_000_000, include=["events", "messages"])),
            json.dumps(await host.call("list_tasks")),
        ]
    assert task["output"]["content"].count("[secret S]") > 300
    forms = _forms(SECRET)
    assert not [form for form in forms for answer in answers if form in answer]
    assert not _files_that_hold(own_home, forms)


@pytest.mark.namespaces
async def test_a_secret_is_in_no_command_line_and_no_environment_outside_its_sandbox(host: Host) -> None:
    task_id = await host.create("$ echo begun; sleep 60", secrets={"S": SECRET})
    await host.said(task_id, "begun")
    inside, outside = _processes_that_show(SECRET)
    await host.call("cancel_task", id=task_id)
    assert inside
    assert not outside


async def test_a_blocked_task_goes_on_when_its_secrets_are_sent_again(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        task_id, call_id = await host.waiting('$ echo "${#S}"', secrets={"S": SECRET})
    servers.kill(killed_home)
    async with servers.host(killed_home) as host:
        assert (await host.decide(task_id, call_id, "proceed_once"))["status"] == "blocked"
        task = await host.call("get_task", id=task_id)
        assert task["blockedReason"] == "SECRETS_LOST"
        error = await host.fail("send_message", id=task_id, message="$ true", secrets={"S": SECRET})
        assert error["code"] == "CONFLICT"
        await host.call("send_message", id=task_id, secrets={"S": SECRET})
        await host.decide(task_id, await host.waiting_call(task_id), "proceed_once")  # of a value that may be another
        task = await host.until(task_id, "completed")
        assert task["output"]["content"] == f"{len(SECRET)}\n"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def _forms(secret: str) -> list[str]:
    raw = secret.encode()
    inner = [base64.b64encode(b"x" * n + raw).decode().rstrip("=")[2 if n else 0 : -2] for n in range(3)]
    return [secret, raw.hex(), raw.hex().upper(), quote(secret, safe=""), *inner]


def _files_that_hold(home: Path, forms: list[str]) -> list[Path]:
    """Return the files of the state folder, workspaces apart, that hold one of these texts."""
    files = [path for path in home.rglob("*") if path.is_file() and "workspaces" not in path.parts]
    assert home / "remit.db" in files
    return [path for path in files if any(form.encode() in path.read_bytes() for form in forms)]


def _processes_that_show(text: str) -> tuple[list[str], list[str]]:
    """Return the processes with `text` in their command line or environment: those in a sandbox, and all others."""
    ours = os.readlink("/proc/self/ns/pid")
    inside, outside = list[str](), list[str]()
    for process in (entry for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        try:
            shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            holder = outside if os.readlink(process / "ns/pid") == ours else inside
        except OSError:
            continue  # it ended meanwhile
        if text.encode() in shown:
            holder.append(process.name)
    return inside, outside
