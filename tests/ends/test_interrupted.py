"""Tasks whose server is killed in the middle of a call: they fail, begin anew or go on, by their own word."""

from pathlib import Path
from typing import Any

from tests import servers
from tests.ends.waiting import begun
from tests.servers import Host

ONE, TWO, THREE = "echo one >> one; echo first", "echo two >> two; touch begun; test -e go || sleep 60", "cat one two"


def calls(task: dict[str, Any]) -> list[str]:
    """Return the states of the calls."""
    return [call["status"] for call in task["output"]["toolCalls"]]


async def killed_at_work(home: Path, **arguments: Any) -> str:
    """Return the id of a task of three commands whose server is killed during the second; the next time that ends."""
    async with servers.host(home) as host:
        task = await host.create(f"$ {ONE}\n$ {TWO}\n$ {THREE}", **arguments)
        folder = await begun(host, home, task)
        (folder / "go").touch()
        servers.kill(home)
    return task


async def test_a_task_fails_where_it_says_nothing(own_home: Path) -> None:
    task = await killed_at_work(own_home)
    async with servers.host(own_home) as host:
        ended = await host.until(task, "completed", "failed")
    assert (ended["status"], ended["errorCode"], calls(ended)) == (
        "failed",
        "INTERRUPTED",
        ["success", "error", "cancelled"],
    )
    assert "attempt" not in ended


async def test_a_task_that_is_to_be_resumed_makes_no_finished_call_again(own_home: Path) -> None:
    task = await killed_at_work(own_home, onInterrupt="resume")
    async with servers.host(own_home) as host:
        ended = await host.until(task, "completed", "failed")
    assert (ended["status"], ended["onInterrupt"], ended["attempt"]) == ("completed", "resume", 2)
    assert ended["attemptReason"] == "the server ended in attempt 1"
    assert calls(ended) == ["success", "error", "success", "success"]
    assert ended["output"]["content"] == "first\none\ntwo\ntwo\n"


async def test_a_task_that_is_to_be_retried_begins_anew(own_home: Path) -> None:
    task = await killed_at_work(own_home, onInterrupt="retry")
    async with servers.host(own_home) as host:
        ended = await host.until(task, "completed", "failed")
    assert (ended["status"], ended["attempt"]) == ("completed", 2)
    assert calls(ended) == ["success", "error", "cancelled", "success", "success", "success"]
    assert ended["output"]["content"] == "first\none\none\ntwo\ntwo\n"


async def test_a_call_that_is_made_once_more_needs_approval_once_more(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task, call = await host.waiting("$ touch begun; test -e go || sleep 60", onInterrupt="resume")
        await host.decide(task, call, "proceed_once")
        folder = await begun(host, own_home, task)
        (folder / "go").touch()
        servers.kill(own_home)
    async with servers.host(own_home) as host:
        again = await host.waiting_call(task)
        assert again != call
        await host.decide(task, again, "proceed_once")
        assert (await host.until(task, "completed", "failed"))["status"] == "completed"


async def test_a_record_is_not_interrupted(host: Host) -> None:
    error = await host.fail("create_task", message="work", agentId="none", options={"onInterrupt": "retry"})
    assert error["code"] == "VALIDATION_ERROR"


async def test_an_approval_expires_after_the_time_of_its_task(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        waits, _ = await host.waiting("$ true")
        task, _ = await host.waiting("$ true", approvalTimeoutSeconds=1)
        ended = await host.until(task, "cancelled")
        assert ended["approvalTimeoutSeconds"] == 1
        assert ended["output"]["toolCalls"][0]["reason"] == "nobody decided in time"
        assert (await host.call("get_task", id=waits))["status"] == "awaiting_approval"


async def test_no_task_has_more_time_for_approvals_than_the_operator_grants(own_home: Path) -> None:
    async with servers.host(own_home, REMIT_APPROVAL_EXPIRES="60") as host:
        error = await host.fail("create_task", message="$ true", approvalTimeoutSeconds=61)
        assert (error["code"], error["most"]) == ("LIMIT_EXCEEDED", 60)
