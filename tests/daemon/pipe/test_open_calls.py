"""Limits on the open calls and unread answers of one connection, and their cost for the others."""

import json
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from mcp_types import JSONRPCRequest

from server.daemon import handshake
from server.daemon.connection import Connection, Peer
from server.daemon.line_memory import MOST, LineMemory
from server.daemon.paths import find_state_paths
from server.mcp.messages import MAX_BESIDE
from server.mcp.streams import (
    LEAST_UNREAD_BYTES,
    MAX_OPEN,
    MAX_OPEN_MEMORY,
    MAX_UNREAD_BYTES,
    MAX_UNREAD_LINES,
    LargeCalls,
    OpenCalls,
    Outbox,
    Unread,
)
from server.pipe.messages import ENVELOPE
from server.round_robin import AT_ONCE, LANE, RoundRobinLock
from server.runner.network.stream import SocketStream
from storage.sqlite.database import Database
from tests.daemon.conftest import META, PATIENCE, Launcher, Window, servers

TOO_MANY = {"code": -32000, "message": f"{MAX_OPEN} calls of this connection are open; wait for answers"}


@pytest.fixture
async def waited_for(real: Launcher) -> tuple[Window, str]:
    """A window, and a task of it that waits for approval."""
    window = await real.window()
    await tool(window, "create", "create_task", message="$ echo hello", autoExecute=False)
    task = (await window.answer())["result"]["structuredContent"]["id"]
    await tool(window, "settle", "get_task", id=task, waitSeconds=45)
    await window.answer()
    return window, task


@pytest.fixture
async def full(waited_for: tuple[Window, str]) -> Window:
    """A window with as many open calls as there may be: `0` and so on, each waiting for the same task."""
    window, task = waited_for
    for number in range(MAX_OPEN):
        await tool(window, number, "get_task", id=task, waitSeconds=45, afterEvent=1000)
    return window


async def tool(window: Window, key: int | str, name: str, **arguments: Any) -> None:
    await window.ask(key, "tools/call", name=name, arguments=arguments, _meta=META)


async def test_a_call_too_many_is_refused_at_once(full: Window) -> None:
    await tool(full, "one more", "list_tasks")
    assert await full.answer() == {"jsonrpc": "2.0", "id": "one more", "error": TOO_MANY}


def test_the_open_calls_of_a_connection_take_so_much_memory_and_no_more() -> None:
    calls = OpenCalls(MAX_OPEN, MAX_OPEN_MEMORY, LargeCalls())
    numbers = [calls.opened(_call(key), MAX_OPEN_MEMORY // 4) for key in range(4)]
    assert "this connection take" in (calls.objection(1) or "")
    calls.closed(numbers[0])
    assert calls.objection(1) is None


def test_the_large_calls_of_all_connections_take_so_much_memory_and_no_more() -> None:
    large_calls = LargeCalls(MAX_OPEN_MEMORY)
    one, other = (OpenCalls(MAX_OPEN, MAX_OPEN_MEMORY, large_calls) for _ in range(2))
    number = one.opened(_call("large"), MAX_OPEN_MEMORY)
    assert "all connections take" in (other.objection(MAX_BESIDE + 1) or "")
    assert other.objection(MAX_BESIDE) is None
    one.closed(number)
    assert other.objection(MAX_BESIDE + 1) is None


async def test_what_a_message_takes_beside_the_arguments_of_a_tool_has_a_bound(real: Launcher) -> None:
    window = await real.window()
    long = META | {"long": "x" * MAX_BESIDE}
    refused = await window.call("a", "tools/call", name="list_tasks", arguments={}, _meta=long)
    assert (refused["id"], refused["error"]["code"]) == ("a", -32600)
    assert "256 KiB" in refused["error"]["message"]


async def test_what_a_client_says_of_itself_is_not_kept(real: Launcher, home: Path) -> None:
    client = {"name": "test", "version": "1", "icons": [{"src": f"data:image/png;base64,{'A' * 20_000_000}"}]}
    taken: list[int] = []
    for _ in range(8):
        window = await real.window()
        opened = await window.call(1, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
        assert opened["result"]["serverInfo"]["name"] == "remit"
        taken.append(_resident(servers(home)[0]))
    assert taken[-1] - taken[2] < 50_000_000  # threads keep what they have read last


async def test_half_lines_of_many_connections_take_so_much_memory_and_no_more(real: Launcher, home: Path) -> None:
    other = await real.window()
    await other.call(1, "ping")
    pid = servers(home)[0]
    before = _resident(pid)
    with ExitStack() as stack:
        for _ in range(24):
            stack.callback(await anyio.to_thread.run_sync(_half_a_line, 16 * 1024**2))
        assert _resident(pid) - before < MOST + 32 * 1024**2
        assert "result" in await other.call(2, "ping")


def _half_a_line(size: int) -> Callable[[], None]:
    """Send a beginning of so many bytes; what closes the connection."""
    link = handshake.reach(find_state_paths(), "connect", "pipe")
    assert link
    link.socket.sendall(b"x" * size)
    return link.close


def _call(key: int | str) -> JSONRPCRequest:
    return JSONRPCRequest(jsonrpc="2.0", id=key, method="tools/call")


async def test_a_ping_is_answered_beside_as_many_calls_as_there_may_be(full: Window) -> None:
    assert (await full.call("ping", "ping", _meta=META))["id"] == "ping"


async def test_a_cancelled_call_makes_room(full: Window) -> None:
    await full.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 0}})
    await full.call("passed on", "ping", _meta=META)
    await tool(full, "one more", "list_tasks")
    assert "result" in await full.answer()


@pytest.mark.parametrize(("cancelled", "other"), [(0, "0"), ("0", 0)])
async def test_of_two_ids_that_look_the_same_the_right_one_is_cancelled(
    waited_for: tuple[Window, str], cancelled: int | str, other: int | str
) -> None:
    window, task = waited_for
    for key in (0, "0"):
        await tool(window, key, "get_task", id=task, waitSeconds=45, afterEvent=1000)
    await window.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": cancelled}})
    await window.call("passed on", "ping", _meta=META)
    await tool(window, "end", "cancel_task", id=task)
    assert {(await window.answer())["id"] for _ in range(2)} == {"end", other}


async def test_a_ping_does_not_decide_in_which_era_a_connection_is_served(real: Launcher) -> None:
    window = await real.window()
    assert await window.call(1, "ping") == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert "result" in await window.call(2, "tools/list", _meta=META)


async def test_a_version_that_is_not_known_leaves_the_handshake_open(real: Launcher) -> None:
    window = await real.window()
    refused = await window.call(1, "server/discover", _meta=META | {ENVELOPE: "2999-01-01"})
    assert refused["error"]["data"] == {"supported": ["2026-07-28"], "requested": "2999-01-01"}
    client = {"name": "test", "version": "1"}
    opened = await window.call(2, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
    assert opened["result"]["protocolVersion"] == "2025-11-25"


async def test_a_window_that_does_not_read_costs_little_and_holds_up_nobody(real: Launcher, home: Path) -> None:
    deaf, other = await real.window(), await real.window()
    await tool(other, 1, "list_tasks")
    await other.answer()
    before = _resident(servers(home)[0])
    calls = 10_000
    async with anyio.create_task_group() as group:
        group.start_soon(_ask_often, deaf, calls)
        with anyio.fail_after(PATIENCE):
            while _resident(servers(home)[0]) == before:
                await anyio.lowlevel.checkpoint()
            for number in range(20):
                await tool(other, number, "list_tasks")
                assert (await other.answer())["id"] == number
        group.cancel_scope.cancel()
    assert _resident(servers(home)[0]) - before < 50 * 1024**2
    deaf.process.kill()


async def test_peers_that_do_not_read_have_little_room_where_all_leave_much_unread() -> None:
    line, unread = b"x" * (LEAST_UNREAD_BYTES // 4), Unread(2 * MAX_UNREAD_BYTES)
    taken = []
    with ExitStack() as stack:
        for _ in range(4):
            outbox = _outbox(stack, unread)
            taken.append(0)
            while not await _is_full(outbox):
                outbox.add(line)
                taken[-1] += len(line)
        assert taken == [MAX_UNREAD_BYTES] * 2 + [LEAST_UNREAD_BYTES] * 2


async def test_what_a_peer_leaves_unread_at_its_end_does_not_count_any_more() -> None:
    unread = Unread(MAX_UNREAD_BYTES)
    with ExitStack() as stack:
        outbox = _outbox(stack, unread)
        outbox.add(b"x" * MAX_UNREAD_BYTES)
        assert unread.most_of_one == LEAST_UNREAD_BYTES
        outbox.give_up()
    assert unread.most_of_one == MAX_UNREAD_BYTES


def _outbox(stack: ExitStack, unread: Unread) -> Outbox:
    """Return the answers to a peer that reads none."""
    own, other = socket.socketpair()
    stack.enter_context(own)
    stack.enter_context(other)
    peer = Peer(uid=-1, pid=-1, role="window", cwd=None)
    return Outbox(Connection(SocketStream(own), peer, LineMemory()), unread)


async def _is_full(outbox: Outbox) -> bool:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await outbox.room()
    return scope.cancelled_caught


async def test_every_call_of_a_window_that_reads_late_is_answered(real: Launcher) -> None:
    window = await real.window()
    calls = 3 * MAX_UNREAD_LINES
    async with anyio.create_task_group() as group:
        group.start_soon(_ask_often, window, calls)
        answered = {(await window.answer())["id"] for _ in range(calls)}
    assert answered == set(range(calls))


async def test_blank_lines_and_a_byte_order_mark_are_passed_over(real: Launcher) -> None:
    window = await real.window()
    await window.send_line(b"")
    await window.send_line(b"\r")
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    await window.send_line(b"\xef\xbb\xbf" + json.dumps(ping).encode())
    assert await window.answer() == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_lanes_that_wait_have_their_turns_in_rotation() -> None:
    turns = RoundRobinLock()
    order: list[str] = []

    async def use(lane: str) -> None:
        LANE.set(lane)
        await turns.acquire()
        order.append(lane)
        await anyio.lowlevel.checkpoint()
        turns.release()

    async with anyio.create_task_group() as group:
        for lane in "aaaaaabbc":
            group.start_soon(use, lane)
    assert "".join(order) == "aaabcabaa"


async def test_who_gives_up_waiting_leaves_the_turn_to_others() -> None:
    turns = RoundRobinLock()
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(_hold, turns)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    with anyio.fail_after(PATIENCE):
        for _ in range(10):
            await turns.acquire()
            turns.release()


async def test_an_operation_keeps_its_turn_until_it_is_done_also_where_its_caller_gave_up(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "remit.db")
    go_on = threading.Event()
    begun: list[bool] = []

    def operation(_: sqlite3.Connection) -> None:
        begun.append(go_on.wait(PATIENCE))

    for _ in range(10):
        with anyio.move_on_after(0):
            await database.read(operation)
    go_on.set()
    await database.read(lambda _: None)
    await database.aclose()
    assert len(begun) == AT_ONCE


async def _hold(turns: RoundRobinLock) -> None:
    await turns.acquire()
    try:
        await anyio.sleep_forever()
    finally:
        turns.release()


async def _ask_often(window: Window, calls: int) -> None:
    for number in range(calls):
        await tool(window, number, "list_tasks")


def _resident(pid: int) -> int:
    """Bytes of memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
