"""Runs and cancellations while another program has locked the database: nothing is lost or told wrongly."""

from pathlib import Path

from tests import servers
from tests.ends.waiting import HELD, begun, goes_on, is_at_work, logged, waiting
from tests.faults import locked


async def test_a_command_that_ends_while_the_database_is_locked_has_succeeded(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task = await host.create(f"$ {HELD}; echo ran >> ran.txt; echo deployed\n$ cat ran.txt")
        folder = await begun(host, own_home, task)
        with locked(own_home):
            goes_on(folder)
            await logged(host, own_home, task, f"task {task} waits for the database")
        ended = await host.until(task, "completed", "failed")
    assert (ended["status"], ended["output"]["content"]) == ("completed", "deployed\nran\n")
    assert [call["status"] for call in ended["output"]["toolCalls"]] == ["success", "success"]


async def test_a_task_tells_that_it_waits_for_a_locked_database(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task = await host.create(f"$ {HELD}\n$ echo two")
        folder = await begun(host, own_home, task)
        with locked(own_home):
            goes_on(folder)
            await waiting(host, task, "it waits, and goes on by itself: the database cannot be written (database is")
        assert "warnings" not in await host.until(task, "completed", "failed")


async def test_a_task_tells_that_its_end_waits_for_a_locked_database(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task = await host.create("$ touch begun; sleep 60", timeoutSeconds=1)
        await begun(host, own_home, task)
        with locked(own_home):
            await waiting(host, task, "its work has ended; how is told as soon as the database can be written again")
        assert "warnings" not in await host.until(task, "failed")


async def test_a_run_that_ends_while_the_database_is_locked_is_on_record_afterwards(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task = await host.create("$ touch begun; sleep 60", timeoutSeconds=1)
        await begun(host, own_home, task)
        with locked(own_home):
            await logged(host, own_home, task, f"run of task {task}")
        assert (await host.until(task, "failed"))["errorCode"] == "TIMEOUT"


async def test_a_cancelled_task_is_stopped_though_the_database_is_locked(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task = await host.create("$ touch begun; (setsid sleep 60 &); sleep 60")
        folder = await begun(host, own_home, task)
        assert is_at_work(folder)
        with locked(own_home):
            error = await host.fail("cancel_task", id=task)
            assert not is_at_work(folder)
        assert (error["code"], "nothing of it is at work" in error["message"]) == ("EXECUTION_ERROR", True)
        assert (await host.until(task, "cancelled"))["status"] == "cancelled"


async def test_a_task_that_is_to_be_deleted_is_stopped_though_the_database_is_locked(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task = await host.create("$ touch begun; sleep 60")
        folder = await begun(host, own_home, task)
        with locked(own_home):
            await host.fail("delete_task", id=task)
            assert not is_at_work(folder)
        assert (await host.call("delete_task", id=task))["deletedTaskIds"] == [task]


async def test_all_tasks_that_are_to_be_deleted_are_stopped_though_the_database_is_locked(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        first = (await host.done("$ true"))["id"]
        dependants = [await host.create("$ touch begun; sleep 60", dependsOn=[first]) for _ in range(3)]
        folders = [await begun(host, own_home, task) for task in dependants]
        with locked(own_home):
            await host.fail("delete_task", id=first, cascade=True)
            assert not any(map(is_at_work, folders))
        for task in dependants:
            await host.until(task, "cancelled")


async def test_a_cancellation_that_was_locked_out_does_not_end_the_next_turn(own_home: Path) -> None:
    async with servers.host(own_home) as host:
        task = await host.create("$ touch begun; sleep 60")
        await begun(host, own_home, task)
        with locked(own_home):
            await host.fail("cancel_task", id=task)
        await host.call("send_message", id=task, message="$ echo again")
        assert (await host.until(task, "completed", "cancelled"))["status"] == "completed"
