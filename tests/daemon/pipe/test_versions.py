"""Windows that meet the server of another version."""

from collections.abc import Callable
from pathlib import Path

from tests.daemon.conftest import Checkout, Window, servers

New = Callable[[str], Checkout]


async def test_an_idle_older_server_is_replaced(new_checkout: New, home: Path) -> None:
    older = await _used(new_checkout("older").numbered("0.0.9"))
    assert await older.close() == 0
    before = servers(home)
    await (await new_checkout("newer").window()).call(1, "echo")
    after = servers(home)
    assert len(after) == 1
    assert after != before


async def test_an_older_server_that_has_work_is_used_and_pointed_out(new_checkout: New, home: Path) -> None:
    older = await _used(new_checkout("older").numbered("0.0.9"))
    await older.call(1, "work", running=1, secretsHeld=0)
    await older.close()
    before = servers(home)
    newer = await _used(new_checkout("newer"))
    await newer.close()
    assert "the running server is version 0.0.9 and in use" in await newer.last_words()
    assert servers(home) == before


async def test_an_older_server_that_has_another_window_is_used(new_checkout: New, home: Path) -> None:
    await _used(new_checkout("older").numbered("0.0.9"))
    before = servers(home)
    await _used(new_checkout("newer"))
    assert servers(home) == before


async def test_an_idle_older_server_with_another_protocol_is_replaced(new_checkout: New) -> None:
    older = await _used(new_checkout("older").numbered("0.0.9", protocol=0))
    await older.close()
    newer = await new_checkout("newer").window()
    assert (await newer.call(1, "echo"))["result"] == {}


async def test_a_busy_server_with_another_protocol_is_refused(new_checkout: New, home: Path) -> None:
    older = await _used(new_checkout("older").numbered("0.0.9", protocol=0))
    await older.call(1, "work", running=0, secretsHeld=1)
    newer = await new_checkout("newer").window()
    message = (await newer.call(1, "initialize"))["error"]["message"]
    assert "version 0.0.9, speaks another protocol" in message
    assert "`remit server stop`" in message


async def test_a_newer_server_is_used(new_checkout: New, home: Path) -> None:
    newer = await _used(new_checkout("newer").numbered("9.0.0"))
    await newer.close()
    before = servers(home)
    older = await _used(new_checkout("older"))
    await older.close()
    assert await older.last_words() == ""
    assert servers(home) == before


async def _used(checkout: Checkout) -> Window:
    window = await checkout.window()
    await window.call("first", "echo")
    return window
