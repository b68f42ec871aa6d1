"""The host's connection outlives its server: what is repeated, what is not, and when the next server starts."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from server.daemon.handshake import MAX_LINE, TOO_LONG, reach
from server.daemon.paths import StatePaths
from server.pipe.messages import ENVELOPE
from server.pipe.session import GIVEN_UP, MOST_TRIES, UNDECIDED
from tests.daemon.conftest import META, PATIENCE, Checkout, Launcher, Window, servers
from tests.servers import end

INTERRUPTED = {"code": -32000, "message": UNDECIDED}


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the servers of a test note each line they get."""
    file = tmp_path / "journal"
    monkeypatch.setenv("REMIT_JOURNAL", str(file))
    return file


def kill(home: Path) -> int:
    """End the server without a warning; its pid."""
    (pid,) = servers(home)
    end(pid, signal.SIGKILL)
    return pid


def messages(journal: Path) -> list[dict[str, Any]]:
    """Return what reached the servers."""
    return [json.loads(line) for line in journal.read_text().splitlines()]


def delivered(journal: Path, key: int | str) -> int:
    """Return how often a request reached a server."""
    return [message.get("id") for message in messages(journal)].count(key)


async def tool(window: Window, key: int | str, name: str, **arguments: Any) -> None:
    await window.ask(key, "tools/call", name=name, arguments=arguments)


async def test_a_call_after_the_end_of_the_server_starts_the_next_one(checkout: Checkout, home: Path) -> None:
    window = await checkout.window()
    await window.call(1, "echo")
    killed = kill(home)
    assert (await window.call(2, "echo", text="again"))["result"] == {"text": "again"}
    assert servers(home) != [killed]


async def test_an_open_read_is_repeated_on_the_next_server(checkout: Checkout, home: Path, tmp_path: Path) -> None:
    window = await checkout.window()
    await tool(window, "open", "get_task", hangUnless=str(tmp_path / "go"))
    await window.call(1, "echo")
    await anyio.Path(tmp_path, "go").touch()
    kill(home)
    answer = await window.answer()
    assert (answer["id"], answer["result"]["name"]) == ("open", "get_task")


@pytest.mark.parametrize("seconds", [45, "45"])
async def test_a_repeated_read_waits_only_for_the_rest_of_its_time(
    checkout: Checkout, home: Path, tmp_path: Path, seconds: object
) -> None:
    window = await checkout.window()
    await tool(window, "open", "get_task", waitSeconds=seconds, hangUnless=str(tmp_path / "go"))
    await window.call(1, "echo")
    await anyio.Path(tmp_path, "go").touch()
    kill(home)
    assert (await window.answer())["result"]["arguments"]["waitSeconds"] < 45


@pytest.mark.parametrize("name", ["create_task", "send_message", "approve_tool_call", "cancel_task", "delete_task"])
async def test_an_open_write_is_answered_with_an_error_and_delivered_once(
    checkout: Checkout, home: Path, journal: Path, name: str
) -> None:
    window = await checkout.window()
    await tool(window, "open", name, hangUnless="/nonexistent")
    await window.call(1, "echo")
    kill(home)
    assert await window.answer() == {"jsonrpc": "2.0", "id": "open", "error": INTERRUPTED}
    await window.call(2, "echo")
    assert delivered(journal, "open") == 1


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc": "2.0", "id": "long", "method": "echo", "params": {"text": "%b", "id": 2}}',
        b'{"method":"echo","params":{"text":"%b","id":2},"jsonrpc":"2.0","id":"long"}',
    ],
)
async def test_a_line_that_is_too_long_is_refused_by_its_id_and_costs_nothing_else(
    checkout: Checkout, journal: Path, line: bytes
) -> None:
    window = await checkout.window()
    await tool(window, "open", "create_task", hangUnless="/nonexistent")
    await window.call(1, "echo")
    await window.send_line(line % (b"x" * (2 * MAX_LINE)))
    assert await window.answer() == {"jsonrpc": "2.0", "id": "long", "error": {"code": -32600, "message": TOO_LONG}}
    assert (await window.call(2, "echo"))["id"] == 2
    assert [message["id"] for message in messages(journal)] == ["open", 1, 2]


@pytest.mark.parametrize("name", ["create_task", "send_message"])
@pytest.mark.parametrize("where", [{"idempotencyKey": "key"}, {"options": {"idempotencyKey": "key"}}])
async def test_a_request_with_a_key_is_repeated(
    checkout: Checkout, home: Path, tmp_path: Path, name: str, where: dict[str, Any]
) -> None:
    window = await checkout.window()
    await tool(window, "open", name, **where, hangUnless=str(tmp_path / "go"))
    await window.call(1, "echo")
    await anyio.Path(tmp_path, "go").touch()
    kill(home)
    assert (await window.answer())["result"]["name"] == name


async def test_a_cancelled_request_is_not_repeated(checkout: Checkout, home: Path, journal: Path) -> None:
    window = await checkout.window()
    await tool(window, "cancelled", "get_task", hangUnless="/nonexistent")
    await window.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "cancelled"}})
    await window.call(1, "echo")
    kill(home)
    assert (await window.call(2, "echo"))["id"] == 2
    assert delivered(journal, "cancelled") == 1


async def test_a_read_goes_on_over_two_ends_in_a_row(checkout: Checkout, home: Path, journal: Path) -> None:
    window = await checkout.window()
    await tool(window, "open", "get_task", hangUnless=f"{journal}.go")
    await window.call(1, "echo")
    kill(home)
    await _until(lambda: delivered(journal, "open") == 2)
    await anyio.Path(f"{journal}.go").touch()
    kill(home)
    assert (await window.answer())["id"] == "open"


async def test_a_read_that_ends_every_server_is_given_up(checkout: Checkout, journal: Path) -> None:
    window = await checkout.window()
    await tool(window, "fatal", "get_task", vanish=True)
    assert (await window.answer())["error"]["message"] == GIVEN_UP
    assert delivered(journal, "fatal") == MOST_TRIES


async def test_the_beginning_of_an_answer_is_discarded(checkout: Checkout, tmp_path: Path) -> None:
    window = await checkout.window()
    await tool(window, 1, "get_task", halfOnce=str(tmp_path / "half"))
    assert (await window.answer())["result"]["name"] == "get_task"


async def test_an_idle_window_does_not_undo_a_stop(checkout: Checkout, home: Path, paths: StatePaths) -> None:
    windows = [await checkout.window() for _ in range(2)]
    for window in windows:
        await window.call(1, "echo")
    link = reach(paths, "stop", "terminal")
    assert link
    link.close()
    await _until(lambda: not servers(home))
    for window in windows:
        assert (await window.call(2, "echo"))["id"] == 2
    assert len(servers(home)) == 1


async def test_twenty_windows_that_lose_their_server_share_the_next_one(
    checkout: Checkout, home: Path, tmp_path: Path
) -> None:
    windows = [await checkout.window() for _ in range(20)]
    for window in windows:
        await tool(window, "open", "get_task", hangUnless=str(tmp_path / "go"))
        await window.call(1, "echo")
    await anyio.Path(tmp_path, "go").touch()
    kill(home)
    async with anyio.create_task_group() as group:
        for window in windows:
            group.start_soon(window.answer)
    assert (home / "server.log").read_text().count("listening, pid") == 2


async def test_a_server_that_cannot_start_is_tried_again_at_a_later_request(checkout: Checkout, home: Path) -> None:
    window = await checkout.window()
    await window.call(1, "echo")
    trouble = home / "trouble"
    trouble.write_text("the setting colour must be blue")
    kill(home)
    assert "the setting colour must be blue" in (await window.call(2, "echo"))["error"]["message"]
    trouble.unlink()
    with anyio.fail_after(PATIENCE):
        while "error" in (answer := await window.call(3, "echo")):
            pass
    assert answer["id"] == 3


async def test_a_question_of_a_server_that_ended_is_withdrawn_and_its_answer_dropped(
    checkout: Checkout, home: Path, journal: Path
) -> None:
    window = await checkout.window()
    question = await window.call("ask", "ask back")
    kill(home)
    withdrawn = await window.answer()
    assert (withdrawn["method"], withdrawn["params"]["requestId"]) == ("notifications/cancelled", question["id"])
    assert await window.answer() == {"jsonrpc": "2.0", "id": "ask", "error": INTERRUPTED}
    await window.send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}})
    await window.call(2, "echo")
    assert not [message for message in messages(journal) if "result" in message]


async def test_the_opening_of_a_handshake_is_replayed_and_its_answer_kept_from_the_host(
    checkout: Checkout, home: Path, journal: Path
) -> None:
    window = await checkout.window()
    await window.call(0, "initialize", protocolVersion="2025-11-25")
    await window.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    await window.call(1, "echo")
    kill(home)
    assert (await window.call(2, "echo"))["id"] == 2
    methods = [message["method"] for message in messages(journal)]
    assert methods == ["initialize", "notifications/initialized", "echo"] * 2


async def test_a_handshake_after_a_version_that_was_refused_is_what_is_replayed(
    checkout: Checkout, home: Path, journal: Path
) -> None:
    window = await checkout.window()
    await window.call(0, "server/discover", _meta={ENVELOPE: "2999-01-01"}, refused=True)
    await window.call(1, "initialize", protocolVersion="2025-11-25")
    kill(home)
    await window.call(2, "echo")
    assert [message["method"] for message in messages(journal)][-2:] == ["initialize", "echo"]


async def test_a_handshake_that_was_refused_is_not_replayed(checkout: Checkout, home: Path, journal: Path) -> None:
    window = await checkout.window()
    await window.call(0, "server/discover", _meta={ENVELOPE: "2026-07-28"})
    await window.call(1, "initialize", protocolVersion="2025-11-25", refused=True)
    kill(home)
    await window.call(2, "echo")
    assert [message["method"] for message in messages(journal)][-2:] == ["server/discover", "echo"]


async def test_a_window_of_2026_that_tried_a_handshake_as_well_goes_on_with_the_next_server(
    real: Launcher, home: Path
) -> None:
    window = await real.window()
    await window.call(0, "server/discover", _meta=META)
    handshake = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    assert "error" in await window.call(1, "initialize", **handshake)
    kill(home)
    answer = await window.call(2, "tools/call", name="list_tasks", arguments={}, _meta=META)
    assert answer["result"]["structuredContent"]["tasks"] == []


async def test_a_handshake_that_nobody_has_answered_is_replayed(
    checkout: Checkout, home: Path, journal: Path, tmp_path: Path
) -> None:
    window = await checkout.window()
    later = tmp_path / "later"
    await window.ask(0, "initialize", arguments={"hangUnless": str(later)})
    await window.call(1, "echo")
    later.touch()
    kill(home)
    assert (await window.answer())["id"] == 0
    assert [message["method"] for message in messages(journal)][-2:] == ["initialize", "initialize"]


async def test_after_a_stop_an_upgraded_program_serves_the_open_window(
    checkout: Checkout, home: Path, paths: StatePaths
) -> None:
    window = await checkout.window()
    await window.call(1, "echo")
    checkout.numbered("9.9.9")
    if link := reach(paths, "stop", "terminal"):
        link.close()
    await _until(lambda: not servers(home))
    await window.call(2, "echo")
    link = reach(paths, "status", "terminal")
    assert link
    link.close()
    assert link.greeting.version == "9.9.9"


async def _until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not holds():
            await anyio.lowlevel.checkpoint()
