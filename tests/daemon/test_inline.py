"""REMIT_SERVER=inline: the server inside the window's own process."""

from pathlib import Path

from tests.daemon.conftest import Checkout, servers


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


async def test_its_end_is_told_to_the_windows_that_use_it(checkout: Checkout) -> None:
    first = await checkout.window(REMIT_SERVER="inline")
    await first.call(1, "echo")
    second = await checkout.window()
    await second.ask(2, "hang")
    await second.call(3, "echo")
    await first.close()
    assert (await second.answer())["id"] == 2
    assert await second.end() == 1


async def test_a_server_that_runs_already_is_used(checkout: Checkout, home: Path) -> None:
    await (await checkout.window()).call(1, "echo")
    window = await checkout.window(REMIT_SERVER="inline")
    await window.call(1, "echo")
    await window.close()
    assert "tasks end with this window" not in await window.last_words()
    assert len(servers(home)) == 1
