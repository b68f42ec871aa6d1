"""Calls as shown to the person who decides: no line of a secret takes the place of a command."""

from pathlib import Path

from tests import servers
from tests.servers import Host

HARM = "touch harm; echo done"
SECRETS = {"K": f"0123456789\n{HARM}"}


async def test_a_command_that_is_a_line_of_a_secret_is_shown(host: Host) -> None:
    task_id, call_id = await host.waiting(f"$ mkdir a; cd a\n$ {HARM}", secrets=SECRETS)
    await host.decide(task_id, call_id, "proceed_once")
    second = await host.waiting_call(task_id)
    (pending,) = (await host.call("get_task", id=task_id))["pendingApprovals"]
    assert pending["args"]["command"] == HARM
    assert HARM in pending["call"]
    await host.decide(task_id, second, "cancel")


async def test_a_command_that_has_become_a_secret_is_refused_with_the_reason(killed_home: Path) -> None:
    async with servers.host(killed_home) as host:
        task_id, call_id = await host.waiting(f"$ mkdir a; cd a\n$ {HARM}", secrets={"K": "another-value"})
        servers.kill(killed_home)
    async with servers.host(killed_home) as host:
        await host.call("send_message", id=task_id, secrets={"K": HARM})
        await host.decide(task_id, call_id, "proceed_once")
        again = await host.waiting_call(task_id)
        await host.decide(task_id, again, "proceed_once")
        task = await host.until(task_id, "failed")
    assert (task["errorCode"], task["output"]["toolCalls"][1]["outcome"]) == ("FORBIDDEN", "hidden")
    assert "command 2 was not run: it contains a secret" in task["error"]
    assert not (killed_home / "workspaces" / task_id / "a" / "harm").exists()


async def test_what_nobody_is_asked_about_is_masked_and_runs(host: Host) -> None:
    task = await host.done("$ true\n$ echo a-line-of-it", secrets={"K": "0123456789\na-line-of-it"})
    assert (task["status"], task["output"]["content"]) == ("completed", "[secret K]\n")
