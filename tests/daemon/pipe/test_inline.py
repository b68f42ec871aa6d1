"""REMIT_SERVER=inline: the server inside the window's own process."""

import signal
from pathlib import Path

import anyio
import pytest

from server.pipe.host import LAST_ANSWERS
from tests.daemon.conftest import Checkout, Launcher, servers


async def test_it_answers_without_starting_another_process(checkout: Checkout, home: Path) -> None:
    window = await checkout.window(REMIT_SERVER="inline")
    assert (await window.call(1, "echo", text="hello"))["result"] == {"text": "hello"}
    assert servers(home) == []


async def test_it_says_that_tasks_end_with_the_window(checkout: Checkout) -> None:
    window = await checkout.window(REMIT_SERVER="inline")
    await window.call(1, "echo")
    assert await window.close() == 0
    assert "tasks end with this window" in await window.last_words()


async def test_a_second_one_connects_to_the_first(checkout: Checkout, home: Path) -> None:
    first = await checkout.window(REMIT_SERVER="inline")
    await first.call(1, "work", running=3, secretsHeld=0)
    second = await checkout.window(REMIT_SERVER="inline")
    assert (await second.call(1, "echo"))["id"] == 1
    assert servers(home) == []


async def test_two_started_at_once_both_answer(checkout: Checkout, home: Path) -> None:
    windows = [await checkout.window(REMIT_SERVER="inline") for _ in range(2)]
    assert [(await window.call(1, "echo"))["id"] for window in windows] == [1, 1]
    assert servers(home) == []


async def test_another_window_goes_on_with_a_server_of_its_own(checkout: Checkout, home: Path) -> None:
    first = await checkout.window(REMIT_SERVER="inline")
    await first.call(1, "echo")
    second = await checkout.window(REMIT_SERVER="inline")
    await second.call(2, "echo")
    await first.close()
    assert (await second.call(3, "echo", text="again"))["result"] == {"text": "again"}
    assert servers(home) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it(checkout: Checkout, number: signal.Signals) -> None:
    window = await checkout.window(REMIT_SERVER="inline")
    await window.call(1, "echo")
    window.process.send_signal(number)
    assert await window.end() == 0


async def test_a_signal_has_open_requests_answered(checkout: Checkout) -> None:
    window = await checkout.window(REMIT_SERVER="inline")
    await window.ask("open", "hang")
    await window.call(1, "echo")
    window.process.send_signal(signal.SIGTERM)
    answer = await window.answer()
    assert (answer["id"], answer["error"]["code"]) == ("open", -32000)


async def test_it_ends_soon_after_its_input_with_a_request_open(checkout: Checkout) -> None:
    window = await checkout.window(REMIT_SERVER="inline")
    await window.ask("open", "hang")
    await window.call(1, "echo")
    with anyio.fail_after(LAST_ANSWERS + 3):
        assert await window.close() == 0


async def test_what_a_library_prints_does_not_reach_the_host(checkout: Checkout) -> None:
    window = await checkout.window(REMIT_SERVER="inline")
    assert (await window.call(1, "echo"))["id"] == 1
    await window.close()
    assert "a library that prints" in await window.last_words()


async def test_a_line_that_is_no_message_is_answered_as_over_the_socket(real: Launcher) -> None:
    window = await real.window(REMIT_SERVER="inline")
    await window.send_line(b"junk")
    assert (await window.answer())["error"]["code"] == -32700
    await window.send_line(b"[]")
    assert (await window.answer())["error"]["code"] == -32600
    assert await window.close() == 0


async def test_a_setting_that_is_wrong_is_told_to_the_host(real: Launcher) -> None:
    window = await real.window(REMIT_SERVER="inline", REMIT_MAX_RUNNING="many")
    assert "max_running" in (await window.call(1, "initialize"))["error"]["message"]
    assert await window.close() == 1


async def test_it_ends_with_its_host_right_after_a_start_that_failed(checkout: Checkout) -> None:
    for _ in range(10):
        window = await checkout.window(REMIT_SERVER="inline", REMIT_TROUBLE="the setting colour must be blue")
        await window.call(1, "echo")
        assert await window.close() == 1


async def test_a_server_that_runs_already_is_used(checkout: Checkout, home: Path) -> None:
    await (await checkout.window()).call(1, "echo")
    window = await checkout.window(REMIT_SERVER="inline")
    await window.call(1, "echo")
    await window.close()
    assert "tasks end with this window" not in await window.last_words()
    assert len(servers(home)) == 1
