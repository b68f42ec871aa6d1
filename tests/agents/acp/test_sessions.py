"""Sessions: opened with what the turn has, and taken up again by a later run or turn."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from server.agents.acp.profile import Profile
from server.agents.interface import HistoryMessage, KnownCall
from server.config import McpServerSettings
from server.errors import Code
from tests.agents.acp.scripted import SESSION
from tests.agents.acp.test_turns import ran
from tests.agents.acp.turns import MemoryTurn, failure, never, work

pytestmark = pytest.mark.anyio

SHELL = str(Path("/bin/sh").resolve())
STATE = {"session": SESSION}
EARLIER = (HistoryMessage("user", "look around"), HistoryMessage("assistant", "done"))
TRACKER = {
    "tracker": McpServerSettings(url="http://127.0.0.1:9/<<mcp.KEY>>", headers={"Authorization": "Bearer <<mcp.KEY>>"})
}
Status = Literal["pending", "awaiting_approval", "executing", "success", "error", "cancelled"]


def known(command: str, status: Status, *, approved: bool = False, reason: str | None = None) -> KnownCall:
    return KnownCall(
        key=f"{SESSION}/{command}",
        tool_name="bash",
        args={"command": command},
        status=status,
        approved=approved,
        output="",
        exit_status=None,
        reason=reason,
        is_hidden=False,
    )


def heard(workspace: Path, method: str) -> Any:
    """Return the params of the one request of a kind."""
    messages = map(json.loads, (workspace / "heard.jsonl").read_text().splitlines())
    (found,) = (message["params"] for message in messages if message.get("method") == method)
    return found


async def test_a_session_that_can_be_loaded_binds_its_run_no_more(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "lasts")
    assert (turn.state, turn.bound[0], turn.bound[-1]) == (STATE, True, False)


async def test_a_session_that_cannot_be_loaded_binds_its_run(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "speaks")
    assert (turn.state, set(turn.bound)) == ({}, {True})


async def test_a_session_that_is_not_to_be_resumed_binds_its_run(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "lasts", resume=False)
    assert (turn.state, set(turn.bound)) == ({}, {True})


async def test_a_later_run_loads_the_session_and_says_where_it_stands(tmp_path: Path) -> None:
    calls = [
        known("one", "success"),
        known("two", "pending", approved=True),
        known("three", "cancelled", reason="not now"),
    ]
    turn = MemoryTurn(tmp_path, "build it", state=STATE, known=calls)
    await work(turn, "lasts")
    assert turn.text == (
        "session/load: The connection was lost while you were at this:\n\nbuild it\n\nWhere your calls stand:\n\n"
        "- bash command: one: was done; do not do it again\n"
        "- bash command: two: was waiting for permission, and now has it; make the same call again\n"
        "- bash command: three: was refused: not now\n\n"
        "Go on from where you were."
    )


async def test_what_a_loaded_session_repeats_is_not_heard(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, state=STATE, decide=never)
    await work(turn, "lasts")
    assert "replayed" not in turn.text
    assert turn.made == []


async def test_an_approval_given_meanwhile_answers_the_same_call_asked_for_again(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, state=STATE, known=[known("make", "pending", approved=True)], decide=never)
    await work(turn, "asks_as_before")
    assert [(call.key, call.status) for call in turn.made] == [(f"{SESSION}/make", "success")]
    assert ran(tmp_path) == ["make"]


async def test_a_refusal_given_meanwhile_answers_the_same_call_asked_for_again(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, state=STATE, known=[known("make", "cancelled", reason="no")], decide=never)
    await work(turn, "asks_as_before")
    assert [call.status for call in turn.made] == ["cancelled"]
    assert ran(tmp_path) == []


async def test_a_finished_call_that_is_asked_for_again_is_a_new_one(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, state=STATE, known=[known("make", "success")])
    await work(turn, "asks_as_before")
    assert [(call.key, call.status) for call in turn.made] == [
        (f"{SESSION}/make", "success"),
        (f"{SESSION}/make#2", "success"),
    ]


async def test_a_follow_up_loads_the_session_and_says_the_new_message_only(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, "and now?", earlier=STATE, conversation=EARLIER)
    await work(turn, "lasts")
    assert turn.text == "session/load: and now?"


async def test_a_session_that_is_gone_is_begun_anew_with_the_conversation(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, "and now?", earlier=STATE, conversation=EARLIER)
    await work(turn, "forgets")
    assert turn.text == (
        "The conversation so far:\n\n[user]\nlook around\n\n[assistant]\ndone\n\nThe message:\n\nand now?"
    )


async def test_a_run_whose_session_is_gone_is_told_what_is_done(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, state=STATE, known=[known("make", "success")])
    await work(turn, "forgets")
    assert "- bash command: make: was done; do not do it again" in turn.text
    assert turn.text.endswith("The message:\n\ndo it")


async def test_the_mode_of_the_profile_is_entered(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "has_modes", profile=profile(mode="default"))
    assert turn.text == "default"


async def test_a_mode_that_is_not_there_ends_the_turn(tmp_path: Path) -> None:
    error = await failure(MemoryTurn(tmp_path), "has_modes", profile=profile(mode="careful"))
    assert error.code is Code.AGENT_UNAVAILABLE
    assert "'careful'" in error.message


async def test_the_agent_signs_in_the_way_of_its_profile(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path)
    await work(turn, "has_to_sign_in", profile=profile(auth_method="key"))
    assert turn.text == "key"


async def test_a_remote_server_is_handed_over_filled_in(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, mcp_servers=["tracker"], values={"KEY": "sesame-17"})
    await work(turn, "uses_http", servers=TRACKER)
    assert heard(tmp_path, "session/new")["mcpServers"] == [
        {
            "type": "http",
            "name": "tracker",
            "url": "http://127.0.0.1:9/sesame-17",
            "headers": [{"name": "Authorization", "value": "Bearer sesame-17"}],
        }
    ]


async def test_the_host_of_a_remote_server_may_be_reached(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, mcp_servers=["tracker"], values={"KEY": "sesame-17"})
    await work(turn, "uses_http", servers=TRACKER)
    assert turn.programs[0].hosts == ("127.0.0.1:9",)


async def test_a_local_server_is_handed_over_by_the_real_path_of_its_program(tmp_path: Path) -> None:
    servers = {"notes": McpServerSettings(command="sh", args=("-c", "<<mcp.KEY>>"), env={"KEY": "<<mcp.KEY>>"})}
    turn = MemoryTurn(tmp_path, mcp_servers=["notes"], values={"KEY": "sesame-17"})
    await work(turn, "echoes", servers=servers)
    assert heard(tmp_path, "session/new")["mcpServers"] == [
        {
            "name": "notes",
            "command": SHELL,
            "args": ["-c", "sesame-17"],
            "env": [{"name": "KEY", "value": "sesame-17"}],
        }
    ]


async def test_an_agent_that_cannot_use_a_server_is_not_used_without_it(tmp_path: Path) -> None:
    turn = MemoryTurn(tmp_path, mcp_servers=["tracker"], values={"KEY": "sesame-17"})
    error = await failure(turn, "uses_no_http", servers=TRACKER)
    assert error.code is Code.AGENT_UNAVAILABLE
    assert "tracker" in error.message


@pytest.mark.parametrize(
    ("servers", "settings", "code", "words"),
    [
        (TRACKER, {}, Code.TEMPLATE_ERROR, "mcp_servers.tracker: KEY is neither"),
        ({}, {}, Code.VALIDATION_ERROR, "no MCP server 'tracker'"),
        (
            {"tracker": McpServerSettings(command="no-such-program")},
            {},
            Code.AGENT_UNAVAILABLE,
            "mcp_servers.tracker: no-such-program is not installed",
        ),
        (
            {"tracker": McpServerSettings(command="sh", deny=("erase",))},
            {},
            Code.AGENT_UNAVAILABLE,
            "mcp_servers.tracker: this agent calls tools itself",
        ),
        (
            {"tracker": McpServerSettings(command="sh")},
            {"env": {"TOKEN": "<<mcp.KEY>>"}},
            Code.TEMPLATE_ERROR,
            "agents.scripted.env.TOKEN: KEY is neither",
        ),
    ],
)
async def test_what_is_missing_is_told_before_anything_starts(
    tmp_path: Path, servers: dict[str, McpServerSettings], settings: dict[str, Any], code: Code, words: str
) -> None:
    turn = MemoryTurn(tmp_path, mcp_servers=["tracker"])
    error = await failure(turn, "echoes", servers=servers, **settings)
    assert error.code is code
    assert words in error.message
    assert turn.programs == []


def profile(**about: Any) -> Profile:
    return Profile(id="scripted", description="Does what it is told.", command=("sh",), **about)
