"""The real server behind the real pipe."""

import os
import resource
import select
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from server.daemon.listener import DESCRIPTORS
from tests.daemon.conftest import PATIENCE, Launcher, Window, servers


async def test_twenty_windows_opened_at_once_share_one_server(real: Launcher, home: Path) -> None:
    names = []

    async def open_window() -> None:
        window = await real.window()
        names.append((await _initialize(window))["serverInfo"]["name"])

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(open_window)
    assert names == ["remit"] * 20
    assert len(servers(home)) == 1


async def test_a_task_goes_on_when_its_window_is_closed(real: Launcher) -> None:
    window = await real.window()
    await _initialize(window)
    task = await _tool(window, "create_task", message="$ sleep 0.5; echo the end")
    assert await window.close() == 0
    other = await real.window()
    await _initialize(other)
    assert (await _finished(other, task["id"]))["status"] == "completed"


async def test_inline_windows_share_the_first_ones_server(real: Launcher, home: Path) -> None:
    first = await real.window(REMIT_SERVER="inline")
    await _initialize(first)
    task = await _tool(first, "create_task", message="$ echo hello", autoExecute=False)
    second = await real.window(REMIT_SERVER="inline")
    await _initialize(second)
    assert (await _tool(second, "get_task", id=task["id"]))["id"] == task["id"]
    assert servers(home) == []
    await second.close()
    assert await first.close() == 0


async def test_a_setting_that_is_wrong_is_reported_to_the_host(real: Launcher) -> None:
    window = await real.window(REMIT_MAX_RUNNING="many")
    answer = await window.call(1, "initialize")
    assert "max_running" in answer["error"]["message"]
    assert await window.close() == 1


async def test_it_ends_when_there_is_nothing_left_to_do(real: Launcher, home: Path) -> None:
    window = await real.window(REMIT_IDLE_EXIT="0")
    await _initialize(window)
    process = os.pidfd_open(servers(home)[0])
    try:
        await window.close()
        ended, _, _ = await to_thread.run_sync(select.select, [process], [], [], PATIENCE)
    finally:
        os.close(process)
    assert ended


async def test_it_is_hardened(real: Launcher, home: Path) -> None:
    window = await real.window()
    await _initialize(window)
    limits = await anyio.Path(f"/proc/{servers(home)[0]}/limits").read_text()
    assert [line.split()[4:6] for line in limits.splitlines() if "core file" in line] == [["0", "0"]]


async def test_it_may_open_more_files_than_its_window(real: Launcher, home: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        window = await real.window()
        await _initialize(window)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    own, _ = resource.prlimit(servers(home)[0], resource.RLIMIT_NOFILE)
    assert own == min(hard, DESCRIPTORS)


async def _initialize(window: Window) -> dict[str, Any]:
    client = {"name": "test", "version": "1"}
    answer = await window.call(0, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
    await window.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    result: dict[str, Any] = answer["result"]
    return result


async def _tool(window: Window, name: str, **arguments: Any) -> dict[str, Any]:
    answer = await window.call(name, "tools/call", name=name, arguments=arguments)
    content: dict[str, Any] = answer["result"]["structuredContent"]
    return content


async def _finished(window: Window, task: str) -> dict[str, Any]:
    with anyio.fail_after(PATIENCE):
        while (found := await _tool(window, "get_task", id=task, waitSeconds=5))["status"] in {"pending", "running"}:
            pass
    return found
