"""The pipe, as the process that a host starts, before a stand-in for the application."""

import os
import signal
import sys
from pathlib import Path
from subprocess import PIPE

import anyio
import anyio.lowlevel
import pytest

from server.daemon.ownership import Ownership
from server.daemon.paths import StatePaths
from server.pipe.host import LAST_ANSWERS
from tests.daemon.conftest import PATIENCE, Checkout, held, servers


async def test_it_starts_the_server_and_passes_requests_and_answers(checkout: Checkout) -> None:
    window = await checkout.window()
    assert await window.call(1, "echo", text="hello") == {"jsonrpc": "2.0", "id": 1, "result": {"text": "hello"}}


async def test_it_leaves_the_server_running_when_the_host_closes_standard_input(checkout: Checkout, home: Path) -> None:
    window = await checkout.window()
    await window.call(1, "echo")
    assert await window.close() == 0
    assert len(servers(home)) == 1


async def test_twenty_started_at_once_share_one_server(checkout: Checkout, home: Path) -> None:
    answers = []

    async def open_and_call(number: int) -> None:
        window = await checkout.window()
        answers.append((await window.call(number, "echo"))["id"])

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(open_and_call, number)
    assert sorted(answers) == list(range(20))
    assert len(servers(home)) == 1
    assert (home / "server.log").read_text().count("listening, pid") == 1


async def test_a_server_that_starts_prints_nothing_to_the_host(checkout: Checkout) -> None:
    window = await checkout.window()
    assert (await window.call(1, "echo"))["id"] == 1


async def test_a_start_waits_for_a_server_that_is_ending(checkout: Checkout, paths: StatePaths) -> None:
    with Ownership(paths):
        window = await checkout.window()
        await window.ask(1, "echo")
        await held(Path(paths.start_lock))
    assert (await window.answer())["id"] == 1


async def test_lines_of_many_megabytes_pass_both_ways(checkout: Checkout) -> None:
    window = await checkout.window()
    text = "x" * (20 * 1024**2)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: window.ask(1, "echo", text=text))
        assert (await window.answer())["result"]["text"] == text


async def test_a_host_that_stops_reading_does_not_lose_the_last_answers(checkout: Checkout) -> None:
    window = await checkout.window()
    await window.ask(1, "echo")
    await window.ask(2, "echo")
    closed = await window.close()
    assert [(await window.answer())["id"] for _ in range(2)] == [1, 2]
    assert closed == 0


async def test_it_waits_a_second_at_most_for_answers_when_the_host_is_done(checkout: Checkout) -> None:
    window = await checkout.window()
    await window.call(1, "echo")
    await window.ask(2, "hang")
    with anyio.fail_after(LAST_ANSWERS + 3):
        assert await window.close() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_quietly(checkout: Checkout, number: signal.Signals) -> None:
    window = await checkout.window()
    await window.call(1, "echo")
    window.process.send_signal(number)
    assert await window.end() == -number
    assert await window.last_words() == ""


async def test_a_host_that_is_gone_ends_it_quietly(checkout: Checkout) -> None:
    nobody_reads, stdout = os.pipe()
    os.close(nobody_reads)
    command = [sys.executable, str(checkout.launcher)]
    async with await anyio.open_process(command, stdin=PIPE, stdout=stdout, stderr=PIPE) as process:
        os.close(stdout)
        assert process.stdin
        assert process.stderr
        await process.stdin.send(b'{"jsonrpc": "2.0", "id": 1, "method": "echo"}\n')
        with anyio.fail_after(PATIENCE):
            assert await process.wait() == 0
        assert [chunk async for chunk in process.stderr] == []


async def test_a_server_that_cannot_start_tells_its_reason_to_the_host(checkout: Checkout) -> None:
    window = await checkout.window(REMIT_TROUBLE="the setting colour must be blue")
    answer = await window.call(7, "initialize")
    reason = "the server could not start: the setting colour must be blue"
    assert answer == {"jsonrpc": "2.0", "id": 7, "error": {"code": -32000, "message": reason}}
    assert await window.close() == 1
    assert await window.last_words() == f"remit: {reason}\n"


async def test_a_server_that_dies_while_it_starts_is_reported_with_its_log(checkout: Checkout, home: Path) -> None:
    window = await checkout.window(REMIT_ABORT="yes")
    answer = await window.call(7, "initialize")
    assert answer["error"]["message"] == f"the server ended while it started; its log is {home}/server.log"


async def test_an_open_state_folder_is_refused(checkout: Checkout, home: Path) -> None:
    await anyio.Path(home).mkdir(mode=0o755)
    window = await checkout.window()
    await window.close()
    assert "is open to other users; close it with: chmod 700" in await window.last_words()
    assert await window.end() == 1


async def test_other_settings_than_the_servers_are_pointed_out(checkout: Checkout) -> None:
    await (await checkout.window()).call(1, "echo")
    window = await checkout.window(REMIT_APPROVALS="person")
    await window.call(1, "echo")
    await window.close()
    said = await window.last_words()
    assert said.startswith("remit: the running server was started with other REMIT_* settings, and those hold")
    assert said.endswith("of yours only a stricter REMIT_APPROVALS or REMIT_ALWAYS holds\n")


async def test_the_same_settings_are_not_mentioned(checkout: Checkout) -> None:
    await (await checkout.window(REMIT_MAX_RUNNING="7")).call(1, "echo")
    window = await checkout.window(REMIT_MAX_RUNNING="7")
    await window.call(1, "echo")
    await window.close()
    assert await window.last_words() == ""


async def test_a_relative_config_file_is_the_same_for_window_and_server(checkout: Checkout, tmp_path: Path) -> None:
    window = await checkout.window(REMIT_CONFIG="remit.toml", cwd=tmp_path)
    await window.call(1, "echo")
    await window.close()
    assert await window.last_words() == ""


async def test_a_state_folder_with_a_long_name_is_served(checkout: Checkout, deep_home: Path) -> None:
    window = await checkout.window()
    assert (await window.call(1, "echo", text="hello"))["result"] == {"text": "hello"}
    assert len(servers(deep_home)) == 1


async def test_another_value_of_remit_server_is_refused(checkout: Checkout) -> None:
    window = await checkout.window(REMIT_SERVER="online")
    answer = await window.call(1, "initialize")
    assert answer["error"]["message"] == "REMIT_SERVER can only be 'inline' or left out, not 'online'"
