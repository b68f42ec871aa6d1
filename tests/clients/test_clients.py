"""The clients and hosts of MCP list the tools, call them, and show what comes back, errors included."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.clients import javascript, python
from tests.clients.window import Opener, Outcome, Window
from tests.servers import PATIENCE

BIG = 300_000
"""Characters of output that are more than any host shows its model."""

SDK_1 = partial(
    javascript.typescript,
    client="@modelcontextprotocol/sdk/client/index.js",
    stdio="@modelcontextprotocol/sdk/client/stdio.js",
)
SDK_2 = partial(
    javascript.typescript, client="@modelcontextprotocol/client", stdio="@modelcontextprotocol/client/stdio"
)

CLIENTS = [
    pytest.param(partial(python.sdk, mode="legacy"), id="Python SDK, 2025"),
    pytest.param(partial(python.sdk, mode="2026-07-28"), id="Python SDK, 2026"),
    pytest.param(python.fast_mcp, id="FastMCP"),
    pytest.param(SDK_1, id="TypeScript SDK 1", marks=pytest.mark.npm),
    pytest.param(partial(SDK_2, era="legacy"), id="TypeScript SDK 2, 2025", marks=pytest.mark.npm),
    pytest.param(partial(SDK_2, era="auto"), id="TypeScript SDK 2, 2026", marks=pytest.mark.npm),
    pytest.param(partial(javascript.inspector, era="legacy"), id="inspector, 2025", marks=pytest.mark.npm),
    pytest.param(partial(javascript.inspector, era="modern"), id="inspector, 2026", marks=pytest.mark.npm),
]


@pytest.fixture(params=CLIENTS)
async def window(request: pytest.FixtureRequest, shared_home: Path) -> AsyncIterator[Window]:
    """A window of each client."""
    opener: Opener = request.param
    async with opener(shared_home) as window:
        yield window


async def test_it_lists_the_tools(window: Window) -> None:
    assert {"create_task", "get_task", "list_tasks", "approve_tool_call"} <= set(window.tools)


async def test_it_hands_over_a_task_and_reads_what_came_of_it(window: Window) -> None:
    task = await _done(window, message="$ echo hello")
    assert (task["status"], task["result"]) == ("completed", "hello\n")


async def test_it_shows_the_reason_of_an_error(window: Window) -> None:
    outcome = await window.call("get_task", id="nope")
    assert (outcome.failed, outcome.text) == (
        True,
        "NOT_FOUND: there is no task 'nope'; list_tasks has the ids of yours, of which 8 characters are enough",
    )


async def test_it_shows_which_argument_is_wrong(window: Window) -> None:
    outcome = await window.call("create_task", message="$ true", timeoutSeconds=0)
    assert outcome.failed
    assert outcome.text.startswith("VALIDATION_ERROR: timeoutSeconds: ")


async def test_it_receives_a_big_result_whole_where_it_asks_for_it(window: Window) -> None:
    half = f"$ head -c {BIG // 2} /dev/zero | tr '\\0' x\n"  # of one call the server keeps 256 KiB
    task = await _done(window, message=half * 2, maxChars=1_000_000)
    assert task["output"]["content"].count("x") == BIG


async def test_it_approves_a_call_by_saying_what_it_does(window: Window) -> None:
    created = _answer(await window.call("create_task", message="$ echo approved", autoExecute=False))
    waiting = await _until(window, created["id"], "awaiting_approval")
    (pending,) = waiting["pendingApprovals"]
    decision = {"callId": pending["callId"], "call": "shell: echo approved", "outcome": "proceed_once"}
    assert _answer(await window.call("approve_tool_call", id=created["id"], **decision))["approved"]
    assert (await _until(window, created["id"], "completed"))["result"] == "approved\n"


async def _done(window: Window, *, message: str, **looked_at: Any) -> dict[str, Any]:
    created = _answer(await window.call("create_task", message=message))
    return await _until(window, created["id"], "completed", "failed", **looked_at)


async def _until(window: Window, task_id: str, *statuses: str, **looked_at: Any) -> dict[str, Any]:
    with anyio.fail_after(PATIENCE):
        while True:
            task = _answer(await window.call("get_task", id=task_id, waitSeconds=20, **looked_at))
            if task["status"] in statuses:
                return task


def _answer(outcome: Outcome) -> dict[str, Any]:
    assert not outcome.failed, outcome.text
    return outcome.structure
