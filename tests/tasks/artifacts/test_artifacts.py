"""The files of a task, listed and read through the tool and at the terminal."""

import base64
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests import servers
from tests.cli.command_line import CommandLine
from tests.servers import Host, script

SECRET = "very-secret-value"


@pytest.fixture
async def host(shared_home: Path, tmp_path: Path) -> AsyncIterator[Host]:
    async with servers.host(shared_home, cwd=tmp_path) as host:
        yield host


@pytest.fixture
def remit(shared_home: Path, tmp_path: Path) -> CommandLine:
    return CommandLine(shared_home, tmp_path)


async def made(host: Host, lines: str, **arguments: Any) -> str:
    """Return the id of a task that has ended and left files."""
    task = await host.done(script(lines), **arguments)
    assert task["status"] == "completed", task["error"]
    return str(task["id"])


async def paths(host: Host, task_id: str) -> list[str]:
    """Return the paths that are listed."""
    return [file["path"] for file in (await host.call("read_artifacts", id=task_id))["files"]]


async def read(host: Host, task_id: str, path: str, **arguments: Any) -> dict[str, Any]:
    return await host.call("read_artifacts", id=task_id, path=path, **arguments)


async def whole(host: Host, task_id: str, path: str, limit: int) -> str:
    """Return a text, read in pieces."""
    found, offset = "", 0
    while True:
        piece = await read(host, task_id, path, limit=limit, offset=offset)
        found += str(piece["text"])
        if "nextOffset" not in piece:
            return found
        assert piece["nextOffset"] > offset
        offset = piece["nextOffset"]


@pytest.mark.behaviour("artifacts:list")
async def test_files_are_listed_with_name_path_size_type_and_time(host: Host) -> None:
    message = "mkdir out; printf abc > out/report.json; touch -d 2020-01-02T03:04:05Z out/report.json"
    task_id = await made(host, message, files=[{"path": "in.txt", "content": "given"}])
    listed = await host.call("read_artifacts", id=task_id)
    assert listed["total"] == 2
    report, given = listed["files"]
    assert report == {
        "name": "report.json",
        "path": "out/report.json",
        "size": 3,
        "mimeType": "application/json",
        "category": "output",
        "modifiedAt": "2020-01-02T03:04:05.000Z",
    }
    assert (given["path"], given["category"], given["mimeType"]) == ("uploads/in.txt", "upload", "text/plain")


@pytest.mark.behaviour("artifacts:download")
async def test_a_text_is_read_as_text_and_other_bytes_as_base64(host: Host) -> None:
    task_id = await made(host, "printf 'Grüße\\n' > text; printf '\\377\\000\\001' > bytes")
    text = await read(host, task_id, "text")
    assert (text["text"], text["size"], "nextOffset" in text) == ("Grüße\n", 8, False)
    assert base64.b64decode((await read(host, task_id, "bytes"))["base64"]) == b"\xff\x00\x01"


async def test_a_running_task_has_files_already(host: Host) -> None:
    task_id = await host.create("$ echo x > x; echo made; sleep 60")
    await host.said(task_id, "made\n")
    assert (await read(host, task_id, "x"))["text"] == "x\n"
    await host.call("cancel_task", id=task_id)


@pytest.mark.parametrize("limit", [1, 3, 4, 5, 1000])
async def test_the_pieces_of_a_text_make_the_whole_whatever_their_length(host: Host, limit: int) -> None:
    task_id = await made(host, "printf 'aé€𝄞z%.0s' 1 2 3 > text")
    if limit < 4:  # a character takes up to four bytes: what is cut in one is no text
        pieces = []
        offset: int | None = 0
        while offset is not None:
            piece = await read(host, task_id, "text", limit=limit, offset=offset)
            pieces.append(piece["text"].encode() if "text" in piece else base64.b64decode(piece["base64"]))
            offset = piece.get("nextOffset")
        assert b"".join(pieces).decode() == "aé€𝄞z" * 3
    else:
        assert await whole(host, task_id, "text", limit) == "aé€𝄞z" * 3


async def test_a_long_list_comes_in_pages(host: Host) -> None:
    task_id = await made(host, "for i in $(seq -w 25); do echo > f$i; done")
    first = await host.call("read_artifacts", id=task_id, limit=10)
    last = await host.call("read_artifacts", id=task_id, limit=10, offset=20)
    assert (first["total"], first["nextOffset"], first["files"][0]["name"]) == (25, 10, "f01")
    assert ([file["name"] for file in last["files"]], "nextOffset" in last) == (
        ["f21", "f22", "f23", "f24", "f25"],
        False,
    )


async def test_nothing_but_regular_files_of_the_task_is_listed_or_read(host: Host) -> None:
    message = """
        ln -s /etc/passwd link; ln -s / root; mkfifo fifo; echo x > twice; ln twice again
        git init -q .; mkdir -p sub/.git; echo x > sub/.git/x; echo fine > fine
    """
    task_id = await made(host, message)
    assert await paths(host, task_id) == ["fine"]
    for path in ("link", "root/etc/passwd", "fifo", "twice", "/etc/passwd", "../x", "fine/..", "sub", ".", "fine\0"):
        assert (await host.fail("read_artifacts", id=task_id, path=path))["code"] == "VALIDATION_ERROR"
    for path in (".git/config", "sub/.git/x", "none"):
        error = await host.fail("read_artifacts", id=task_id, path=path)
        assert (error["code"], error["field"]) == ("NOT_FOUND", "path")


async def test_more_files_than_are_looked_at_are_said_to_be_there(host: Host) -> None:
    task_id = await made(host, "for i in $(seq 41); do mkdir d$i; (cd d$i; seq 500 | xargs touch); done")
    listed = await host.call("read_artifacts", id=task_id)
    assert (listed["partial"], listed["total"] < 20_000) == (True, True)


async def test_a_task_without_a_folder_says_why(host: Host) -> None:
    task_id, call = await host.waiting("$ true", env={"A": "b"})
    record = await host.create("for others", agentId="none")
    after = await host.create("$ true", dependsOn=[task_id])
    assert "does not execute it" in (await host.fail("read_artifacts", id=record))["message"]
    assert "no files yet" in (await host.fail("read_artifacts", id=after))["message"]
    assert (await host.fail("read_artifacts", id="unknown"))["code"] == "NOT_FOUND"
    await host.decide(task_id, call, "cancel")


async def test_secrets_by_name_are_masked_in_names_and_content_also_after_the_end(
    own_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "remit.toml").write_text(f'[secrets.TOKEN]\nfile = "{tmp_path}/token"\n')
    async with servers.host(own_home) as host:
        message = (
            "echo a$TOKEN > text; printf '\\377' > bytes; echo $TOKEN >> bytes; echo $TOKEN | base64 > 64; : > $TOKEN"
        )
        task_id = await made(host, message, secretNames=["TOKEN"])
        assert await paths(host, task_id) == ["64", "bytes", "text", "[secret TOKEN]"]
        assert (await read(host, task_id, "text"))["text"] == "a[secret TOKEN]\n"
        assert base64.b64decode((await read(host, task_id, "bytes"))["base64"]) == b"\xff[secret TOKEN]\n"
        assert (await read(host, task_id, "64"))["text"].startswith("[secret TOKEN]")


async def test_no_piece_shows_a_part_of_a_secret_wherever_it_is_cut(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "remit.toml").write_text(f'[secrets.TOKEN]\nfile = "{tmp_path}/token"\n')
    async with servers.host(own_home) as host:
        task_id = await made(host, 'printf "12345${TOKEN}12345" > text', secretNames=["TOKEN"])
        for offset in range(len(SECRET) + 10):
            for limit in (1, 4, 30):
                shown = (await read(host, task_id, "text", offset=offset, limit=limit))["text"]
                assert set(shown.replace("[secret TOKEN]", "")) <= set("12345")


async def test_files_whose_secrets_are_gone_are_shown_to_a_person_alone(host: Host, remit: CommandLine) -> None:
    task_id = await made(host, "echo $TOKEN > text", secrets={"TOKEN": SECRET})
    for path in ({}, {"path": "text"}):
        error = await host.fail("read_artifacts", id=task_id, **path)
        assert (error["code"], error["missing"]) == ("SECRETS_LOST", ["TOKEN"])
    shown = await anyio.to_thread.run_sync(remit, "artifacts", task_id, "text")
    assert shown.stdout == f"{SECRET}\n"
    assert "not masked, since their values are gone: TOKEN" in shown.stderr


async def test_literal_secrets_are_masked_while_the_task_is_at_work(host: Host) -> None:
    task_id, call = await host.waiting("$ echo $TOKEN > text\n$ true", secrets={"TOKEN": SECRET})
    await host.decide(task_id, call, "proceed_once")
    last = await host.waiting_call(task_id)
    assert (await read(host, task_id, "text"))["text"] == "[secret TOKEN]\n"
    await host.decide(task_id, last, "proceed_once")
    await host.until(task_id, "completed")


async def test_a_secret_that_had_another_value_in_an_earlier_turn_is_not_masked_any_more(host: Host) -> None:
    task_id, call = await host.waiting("$ echo $TOKEN > text", secrets={"TOKEN": SECRET})
    await host.decide(task_id, call, "proceed_once")
    await host.until(task_id, "completed")
    await host.call("send_message", id=task_id, message="$ true", secrets={"TOKEN": "another-value"})
    call = await host.waiting_call(task_id)
    error = await host.fail("read_artifacts", id=task_id, path="text")
    assert (error["code"], error["missing"]) == ("SECRETS_LOST", ["TOKEN"])
    await host.decide(task_id, call, "cancel")


async def test_files_are_not_shown_when_the_turn_has_given_up_a_secret_that_it_had(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task_id, call = await host.waiting("$ echo $TOKEN > text\n$ true", secrets={"TOKEN": SECRET})
        await host.decide(task_id, call, "proceed_once")
        call = await host.waiting_call(task_id)
    servers.kill(own_home)
    async with servers.host(own_home) as host:
        await host.decide(task_id, call, "proceed_once")
        await host.call("send_message", id=task_id, secrets={"TOKEN": None})
        await host.decide(
            task_id, await host.waiting_call(task_id), "proceed_once"
        )  # the yes was given with the secret
        await host.until(task_id, "completed")
        error = await host.fail("read_artifacts", id=task_id, path="text")
        assert (error["code"], error["missing"]) == ("SECRETS_LOST", ["TOKEN"])


async def test_the_terminal_lists_files_and_prints_one_byte_by_byte(host: Host, remit: CommandLine) -> None:
    task_id = await made(host, "mkdir d; head -c 2000000 /dev/urandom > d/large; sha256sum d/large | cut -c1-64")
    listed = await anyio.to_thread.run_sync(remit, "artifacts", task_id[:8])
    assert listed.stdout.split()[0::2][0] == "2000000"
    assert listed.stdout.endswith("d/large\n")
    digest = (await host.call("get_task", id=task_id))["output"]["content"]
    summed = await anyio.run_process(
        [
            "sh",
            "-c",
            '"$@" | sha256sum | cut -c1-64',
            "sh",
            sys.executable,
            str(servers.LAUNCHER),
            "artifacts",
            task_id,
            "d/large",
        ],
        env=servers.environment(remit.home),
    )
    assert summed.stdout.decode() == digest


async def test_the_terminal_says_what_it_cannot_print(remit: CommandLine) -> None:
    done = await anyio.to_thread.run_sync(remit, "artifacts", "00000000-0000-0000-0000-000000000000")
    assert (done.returncode, "NOT_FOUND" in done.stderr) == (1, True)
