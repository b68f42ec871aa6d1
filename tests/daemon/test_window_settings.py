"""Windows whose `REMIT_*` variables differ from those that the server was started with."""

from typing import Any

import pytest

from server.daemon.window_settings import not_in_force, stricter
from tests.daemon.conftest import Launcher, Window


async def test_a_window_that_leaves_approvals_to_a_person_gets_that(real: Launcher) -> None:
    await _opened(await real.window())
    window = await _opened(await real.window(REMIT_APPROVALS="person"))
    task, call = await _waiting(window)
    refused = await window.call("no", "tools/call", name="approve_tool_call", arguments=_yes(task, call))
    assert "FORBIDDEN" in refused["result"]["content"][0]["text"]
    assert (await _tool(window, "list_agents"))["approvals"] == "person"


async def test_the_window_beside_it_approves_as_before(real: Launcher) -> None:
    window = await _opened(await real.window())
    await _opened(await real.window(REMIT_APPROVALS="person"))
    task, call = await _waiting(window)
    assert (await _tool(window, "approve_tool_call", **_yes(task, call)))["approved"]


async def test_a_window_that_leaves_approvals_to_a_person_is_not_told_to_decide(real: Launcher) -> None:
    window = await _opened(await real.window(REMIT_APPROVALS="person"))
    task, _ = await _waiting(window)
    answer = await window.call("look", "tools/call", name="get_task", arguments={"id": task})
    text = answer["result"]["content"][0]["text"]
    assert f"Ask the user to decide each with `remit approve {task}` in a terminal:" in text
    assert "approve_tool_call" not in text


async def test_a_window_that_leaves_always_to_a_person_gets_that_and_still_approves_once(
    real: Launcher,
) -> None:
    await _opened(await real.window())
    window = await _opened(await real.window(REMIT_ALWAYS="person"))
    task, call = await _waiting(window)
    always = _yes(task, call, "proceed_always")
    refused = await window.call("no", "tools/call", name="approve_tool_call", arguments=always)
    assert "FORBIDDEN" in refused["result"]["content"][0]["text"]
    assert (await _tool(window, "list_agents"))["always"] == "person"
    assert (await _tool(window, "approve_tool_call", **_yes(task, call)))["approved"]


async def test_a_window_cannot_have_laxer_approvals_than_the_server(real: Launcher) -> None:
    await _opened(await real.window(REMIT_APPROVALS="person"))
    window = await _opened(await real.window(REMIT_APPROVALS="caller"))
    agents = await _tool(window, "list_agents")
    assert (agents["approvals"], agents["settingsNotInForce"]) == ("person", ["REMIT_APPROVALS"])


async def test_a_setting_that_does_not_hold_is_named_without_its_value(real: Launcher) -> None:
    await _opened(await real.window())
    window = await _opened(await real.window(REMIT_MAX_RUNNING="54321"))
    created = await _tool(window, "create_task", message="work for others", agentId="none")
    agents = await _tool(window, "list_agents")
    (warning,) = created["warnings"]
    assert "REMIT_MAX_RUNNING" in warning
    assert "remit server stop" in warning
    assert agents["settingsNotInForce"] == ["REMIT_MAX_RUNNING"]
    assert "54321" not in f"{created}{agents}"


async def test_a_setting_that_does_not_hold_is_named_in_the_text_of_list_agents(real: Launcher) -> None:
    await _opened(await real.window())
    window = await _opened(await real.window(REMIT_MAX_RUNNING="54321"))
    answer = await window.call("agents", "tools/call", name="list_agents", arguments={})
    assert "not in force, since the server has others: REMIT_MAX_RUNNING" in answer["result"]["content"][0]["text"]


async def test_the_same_settings_bring_no_warning(real: Launcher) -> None:
    await _opened(await real.window(REMIT_MAX_RUNNING="3"))
    window = await _opened(await real.window(REMIT_MAX_RUNNING="3"))
    assert (await _tool(window, "create_task", message="work for others", agentId="none"))["warnings"] == []
    assert (await _tool(window, "list_agents"))["settingsNotInForce"] == []


@pytest.mark.parametrize(
    ("window", "server", "named"),
    [
        ({"REMIT_A": "1"}, {"REMIT_A": "1"}, ()),
        ({"REMIT_A": "1"}, {"REMIT_A": "2"}, ("REMIT_A",)),
        ({"REMIT_B": "1"}, {"REMIT_A": "1"}, ("REMIT_A", "REMIT_B")),
        ({"REMIT_APPROVALS": "1"}, {}, ()),
        (None, {"REMIT_A": "1"}, ()),
    ],
)
def test_what_differs_and_was_not_granted_is_named(
    window: dict[str, str] | None, server: dict[str, str], named: tuple[str, ...]
) -> None:
    wishes = frozenset({"approvals"}) if window and "REMIT_APPROVALS" in window else frozenset[str]()
    assert not_in_force(window, wishes, server) == named


def test_only_what_is_stricter_than_the_server_is_granted() -> None:
    wishes = frozenset({"approvals", "always"})
    assert stricter(wishes, {"approvals": "caller", "always": "person"}) == {"approvals"}


async def _opened(window: Window) -> Window:
    client = {"name": "test", "version": "1"}
    await window.call(0, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
    await window.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    return window


async def _tool(window: Window, name: str, **arguments: Any) -> dict[str, Any]:
    answer = await window.call(name, "tools/call", name=name, arguments=arguments)
    content: dict[str, Any] = answer["result"]["structuredContent"]
    return content


async def _waiting(window: Window) -> tuple[str, str]:
    task = (await _tool(window, "create_task", message="$ echo hello", autoExecute=False))["id"]
    while not (found := await _tool(window, "get_task", id=task, waitSeconds=20)).get("pendingApprovals"):
        pass
    return task, found["pendingApprovals"][0]["callId"]


def _yes(task: str, call: str, outcome: str = "proceed_once") -> dict[str, str]:
    return {"id": task, "callId": call, "call": "shell: echo hello", "outcome": outcome}
