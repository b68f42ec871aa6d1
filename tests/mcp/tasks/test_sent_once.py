"""Messages with an idempotency key: what was sent is done once, however often it is sent."""

from pathlib import Path

import pytest

from tests import servers
from tests.servers import Host

RAN = "ran.txt"


async def test_the_same_key_opens_one_turn(host: Host) -> None:
    task_id = (await host.done("$ true"))["id"]
    message = {"id": task_id, "message": f"$ echo deploy >> {RAN}; cat {RAN}", "idempotencyKey": "k"}
    await host.call("send_message", **message)
    await host.until(task_id, "completed")
    await host.call("send_message", **message)
    task = await host.until(task_id, "completed")
    assert (task["messageCount"], task["output"]["content"]) == (4, "deploy\n")


async def test_a_message_that_is_repeated_while_its_turn_runs_is_answered(host: Host) -> None:
    task_id = (await host.done("$ true"))["id"]
    message = {"id": task_id, "message": "$ sleep 60", "idempotencyKey": "k"}
    await host.call("send_message", **message)
    await host.until(task_id, "running")
    assert (await host.call("send_message", **message))["status"] == "running"
    await host.call("cancel_task", id=task_id)


async def test_a_key_of_another_message_to_the_task_is_a_conflict(host: Host) -> None:
    task_id = (await host.done("$ true"))["id"]
    await host.call("send_message", id=task_id, message="$ true", idempotencyKey="k")
    await host.until(task_id, "completed")
    error = await host.fail("send_message", id=task_id, message="$ false", idempotencyKey="k")
    assert (error["code"], error["field"]) == ("CONFLICT", "idempotencyKey")


async def test_each_task_has_keys_of_its_own(host: Host) -> None:
    for _ in range(2):
        task_id = await host.create("$ true")
        await host.until(task_id, "completed")
        await host.call("send_message", id=task_id, message="$ echo again", idempotencyKey="k")
        assert (await host.until(task_id, "completed"))["output"]["content"] == "again\n"


async def test_a_message_that_was_refused_may_be_sent_again_with_its_key(host: Host) -> None:
    task_id, call_id = await host.waiting("$ true")
    message = {"id": task_id, "message": "$ echo second", "idempotencyKey": "k"}
    assert (await host.fail("send_message", **message))["code"] == "CONFLICT"
    await host.decide(task_id, call_id, "proceed_once")
    await host.until(task_id, "completed")
    await host.call("send_message", **message)
    await host.decide(task_id, await host.waiting_call(task_id), "proceed_once")
    assert (await host.until(task_id, "completed"))["output"]["content"] == "second\n"


async def test_a_budget_is_given_once_for_a_key(host: Host) -> None:
    task_id = await host.create("$ echo 1\n$ echo 2\n$ echo 3", maxCalls=1)
    await host.until(task_id, "paused")
    await host.call("send_message", id=task_id, idempotencyKey="k")
    await host.until(task_id, "paused")
    await host.call("send_message", id=task_id, idempotencyKey="k")
    task = await host.until(task_id, "paused", "completed")
    assert [call["status"] for call in task["output"]["toolCalls"]].count("success") == 2


async def test_secrets_that_were_brought_under_a_key_are_not_asked_for_again(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task_id = await host.create('$ test -n "$A"', secrets={"A": "a-secret-value"}, autoExecute=False)
        await host.waiting_call(task_id)
        servers.kill(own_home)
        await host.decide(task_id, await host.waiting_call(task_id), "proceed_once")
        await host.until(task_id, "blocked")
        secrets = {"id": task_id, "secrets": {"A": "a-secret-value"}, "idempotencyKey": "k"}
        await host.call("send_message", **secrets)
        await host.waiting_call(task_id)
        assert (await host.call("send_message", **secrets))["status"] == "awaiting_approval"
        await host.call("cancel_task", id=task_id)


async def test_a_message_counts_as_sent_after_its_server_was_killed(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task_id = (await host.done("$ true"))["id"]
        message = {"id": task_id, "message": "$ echo again", "idempotencyKey": "k"}
        await host.call("send_message", **message)
        await host.until(task_id, "completed")
        servers.kill(own_home)
        await host.call("send_message", **message)
        assert (await host.call("get_task", id=task_id))["messageCount"] == 4


@pytest.mark.parametrize("field", ["message", "idempotencyKey"])
async def test_a_key_holds_no_secret_that_is_sent_with_it(host: Host, field: str) -> None:
    task_id = (await host.done("$ true"))["id"]
    texts = {"message": "$ true", "idempotencyKey": "k"} | {field: "$ echo a-secret-value"}
    error = await host.fail("send_message", id=task_id, secrets={"A": "a-secret-value"}, **texts)
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", field)


async def test_a_key_holds_no_secret_of_the_task_that_it_lets_go_on(host: Host) -> None:
    task_id = await host.create("$ true\n$ true", secrets={"A": "a-secret-value"}, maxCalls=1)
    await host.until(task_id, "paused")
    error = await host.fail("send_message", id=task_id, idempotencyKey="a-secret-value")
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "idempotencyKey")
    await host.call("cancel_task", id=task_id)
