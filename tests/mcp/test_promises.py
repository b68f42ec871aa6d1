"""Promises to callers that leave early, come together, or ask for odd things."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio

from tests import servers
from tests.servers import Host

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


async def test_a_decision_takes_effect_though_its_window_closes_at_once(host: Host) -> None:
    for _ in range(8):
        task_id, call_id = await host.waiting("$ true")
        _say(host.home, "approve_tool_call", id=task_id, callId=call_id, call="shell: true", outcome="proceed_once")
        task = await host.call("get_task", id=task_id)
        if task["status"] != "awaiting_approval":  # what was not read before the window closed is not decided
            await host.until(task_id, "completed")


async def test_a_cancellation_takes_effect_though_its_window_closes_at_once(host: Host) -> None:
    for _ in range(8):
        task_id = await host.create("$ sleep 60")
        _say(host.home, "cancel_task", id=task_id)
        task = await host.call("get_task", id=task_id)
        if task["status"] == "cancelled" or task.get("cancelRequested"):
            await host.until(task_id, "cancelled")
        else:
            await host.call("cancel_task", id=task_id)


async def test_a_refused_message_brings_neither_its_files_nor_its_secrets(host: Host, shared_home: Path) -> None:
    task = await host.done("$ true")
    accepted: list[str] = []

    async def send(name: str) -> None:
        result = await host.client.call_tool(
            "send_message",
            {
                "id": task["id"],
                "message": f"$ ls uploads; printf %s $S | wc -c; echo {name}; sleep 1",
                "secrets": {"S": "x" * (10 + len(name))},
                "files": [{"path": name, "content": ""}],
            },
        )
        if not result.is_error:
            accepted.append(name)

    async with anyio.create_task_group() as group:
        for name in ("a", "bb", "ccc"):
            group.start_soon(send, name)
    (name,) = accepted
    task = await host.until(task["id"], "completed")
    assert task["output"]["content"] == f"{name}\n{10 + len(name)}\n{name}\n"


async def test_a_no_to_a_call_whose_secrets_are_lost_cancels_the_task(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        task_id, call_id = await host.waiting("$ true", secrets={"S": "a-secret-value"})
    servers.kill(killed_home)
    async with servers.host(killed_home) as host:
        await host.decide(task_id, call_id, "cancel")
        assert (await host.until(task_id, "cancelled"))["status"] == "cancelled"


async def test_a_lost_secret_may_be_declared_no_longer_needed(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        task_id, call_id = await host.waiting('$ echo "[$S]"', secrets={"S": "a-secret-value"})
    servers.kill(killed_home)
    async with servers.host(killed_home) as host:
        await host.decide(task_id, call_id, "proceed_once")
        error = await host.fail("send_message", id=task_id, secrets={"S": "a-secret-value", "T": "another-value"})
        assert error["field"] == "secrets.T"
        await host.call("send_message", id=task_id, secrets={"S": None})
        await host.decide(
            task_id, await host.waiting_call(task_id), "proceed_once"
        )  # the yes was given with the secret
        task = await host.until(task_id, "completed")
        assert (task["output"]["content"], task["secretNames"]) == ("[]\n", [])


async def test_a_reason_that_contains_a_secret_is_refused(host: Host) -> None:
    task_id, call_id = await host.waiting("$ true", secrets={"S": "a-secret-value"})
    decided = {"id": task_id, "callId": call_id, "call": await host.shown(task_id, call_id), "outcome": "cancel"}
    error = await host.fail("approve_tool_call", **decided, message="no a-secret-value")
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "message")


async def test_an_answer_about_many_calls_is_bounded(host: Host) -> None:
    task_id, _ = await host.waiting("$ echo one\n" * 200)
    result = await host.client.call_tool("get_task", {"id": task_id, "maxChars": 2000})
    assert sum(len(block.model_dump()["text"]) for block in result.content) <= 2000
    assert result.structured_content
    assert len(json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":"))) <= 2000
    output = result.structured_content["output"]
    assert output["omittedToolCalls"] + len(output["toolCalls"]) == 200


async def test_the_same_key_repeats_its_answer_though_its_secret_is_gone(own_home: Path) -> None:
    token = own_home.parent / "token"
    token.write_text("from-a-file")
    (own_home.parent / "remit.toml").write_text(f'[secrets.A]\nfile = "{token}"\n')
    async with servers.host(own_home) as host:
        first = await host.create("$ true", secretNames=["A"], idempotencyKey="k")
        token.unlink()
        assert await host.create("$ true", secretNames=["A"], idempotencyKey="k") == first


async def test_without_a_sandbox_every_task_says_so(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_SANDBOX="off") as host:
        created = await host.call("create_task", message="$ true", autoExecute=False)
        assert ["without a sandbox" in warning for warning in created["warnings"]] == [True]
        assert (await host.until(created["id"], "awaiting_approval"))["sandbox"] == "off"
        error = await host.fail("create_task", message="$ true", require={"tier": "namespaces", "network": "none"})
        assert (error["code"], error["missing"]) == ("SANDBOX_UNAVAILABLE", ["tier: namespaces", "network: none"])


def _say(home: Path, tool: str, **arguments: Any) -> None:
    """Call a tool from a window that closes without waiting for the answer."""
    params = {"name": tool, "arguments": arguments, "_meta": META}
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    with subprocess.Popen(
        [sys.executable, str(servers.LAUNCHER)],
        env=servers.environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as window:
        assert window.stdin
        window.stdin.write(json.dumps(request).encode() + b"\n")
        window.stdin.flush()
        assert window.stdout
        window.stdout.close()  # a broken pipe ends it at once
        window.stdin.close()
