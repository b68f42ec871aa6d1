"""Trees of tasks get done whatever places there are, and end together."""

import anyio
import pytest

from server.tasks.execution.stopping import CANCEL_SECONDS
from tests import servers
from tests.homes import Windows
from tests.runner.commands import processes_with
from tests.servers import Host
from tests.tasks.delegation.conftest import VISITOR, files, run

pytestmark = pytest.mark.anyio

PATIENCE = 580
OPEN = ("pending", "blocked", "running", "awaiting_approval", "paused")

TREE = (
    VISITOR.replace("if __name__", "if False and __name__")
    + """
levels, width = int(os.environ["LEVELS"]), int(os.environ["WIDTH"])
visitor = Visitor()
visitor.begin()
with open(sys.argv[0]) as file:
    uploads = [{"path": "tree.py", "content": file.read()}]
# A leaf has nothing to hand on, and so no need of a Python.
message = "$ python3 -I -S uploads/tree.py" if levels > 1 else "$ echo leaf"
made = [
    visitor.call("create_task", message=message, env={"LEVELS": str(levels - 1)}, files=uploads)["id"]
    for _ in range(width)
]
for task in made:
    while visitor.call("get_task", id=task, waitSeconds=45)["status"] != "completed":
        pass
"""
)


async def grown(host: Host, levels: int, width: int) -> str:
    """Return the id of the task at the root of a tree: so many levels beneath it, each task with so many sub-tasks."""
    env = {"LEVELS": str(levels), "WIDTH": str(width)}
    return await host.create("$ python3 -I -S uploads/tree.py", env=env, files=[{"path": "tree.py", "content": TREE}])


async def counts(host: Host, *statuses: str) -> int:
    return int((await host.call("list_tasks", status=list(statuses), limit=1))["total"])


@pytest.mark.parametrize(("places", "width"), [pytest.param(2, 10, marks=pytest.mark.long), (1, 4)])
async def test_three_levels_of_sub_tasks_are_done_whatever_places_there_are(
    own_window: Windows, places: int, width: int
) -> None:
    async with own_window(REMIT_MAX_RUNNING=str(places), REMIT_SUBTASKS__COUNT="2000") as host:
        with anyio.fail_after(PATIENCE):
            task_id = await grown(host, 3, width)
            while (task := await host.call("get_task", id=task_id, waitSeconds=45))["status"] != "completed":
                assert task["status"] in ("pending", "running"), task["error"]
        assert await counts(host, "completed") == 1 + width + width**2 + width**3


async def many(host: Host) -> str:
    """Return the id of the root of a tree that has grown to some size, and is at work."""
    task_id = await grown(host, 3, 10)
    with anyio.fail_after(PATIENCE):
        while await counts(host, *OPEN, "completed") < 60:
            task = await host.call("get_task", id=task_id)
            await host.call("get_task", id=task_id, include=["events"], afterEvent=task["lastEvent"], waitSeconds=1)
    return task_id


async def test_a_tree_is_cancelled_by_its_root(own_window: Windows) -> None:
    async with own_window(REMIT_MAX_RUNNING="2") as host:
        task_id = await many(host)
        with anyio.fail_after(CANCEL_SECONDS + 5):  # an answer that is late would be one of a task still at work
            cancelled = await host.call("cancel_task", id=task_id)
        assert (cancelled["status"], await counts(host, *OPEN)) == ("cancelled", 0)
        assert processes_with(str(host.home / "workspaces")) == []


async def test_a_tree_is_deleted_by_its_root(own_window: Windows) -> None:
    async with own_window(REMIT_MAX_RUNNING="2") as host:
        await host.call("delete_task", id=await many(host))
        assert (await host.call("list_tasks", limit=1))["total"] == 0


async def test_a_tree_does_not_outlive_a_killed_server(own_window: Windows) -> None:
    async with own_window(REMIT_MAX_RUNNING="2") as host:
        task_id = await many(host)
    servers.kill(host.home)
    async with own_window(REMIT_MAX_RUNNING="2") as host:
        task = await host.call("get_task", id=task_id)
        assert (task["status"], task["errorCode"]) == ("failed", "INTERRUPTED")
        assert await counts(host, *OPEN) == 0


async def test_no_more_sub_tasks_of_one_task_are_at_work_than_the_settings_allow(own_window: Windows) -> None:
    script = """
visitor = Visitor()
visitor.begin()
for number in range(3):
    visitor.call("create_task", message="$ while [ ! -e go ]; do sleep 0.02; done")
"""
    async with own_window(REMIT_MAX_RUNNING="8", REMIT_SUBTASKS__MAX_RUNNING="2") as host:
        task = await run(host, script)
        await host.done("$ true")  # what could be started before it has been started
        running = await host.call("list_tasks", parentTaskId=task["id"], status="running")
        waiting = await host.call("list_tasks", parentTaskId=task["id"], status="pending")
        await host.call("cancel_task", id=task["id"])
    assert (running["total"], waiting["total"]) == (2, 1)


async def test_a_run_whose_sub_task_waits_for_approval_has_its_place_and_gives_it_back(own_window: Windows) -> None:
    script = """
import json, os, sys; sys.path.insert(0, "uploads")
from visitor import Visitor
visitor = Visitor()
visitor.begin()
task = visitor.call("create_task", message="$ true", autoExecute=False)["id"]
while visitor.call("get_task", id=task, waitSeconds=45)["status"] != "completed":
    pass
"""
    uploads = [*files(), {"path": "script.py", "content": script}]
    async with own_window(REMIT_MAX_RUNNING="1") as host:
        parent = await host.create("$ python3 -I -S uploads/script.py", files=uploads)
        task = await host.call("get_task", id=parent)
        while not (waiting := task.get("subtasksAwaitingApproval")):
            task = await host.call(
                "get_task", id=parent, include=["events"], afterEvent=task["lastEvent"], waitSeconds=20
            )
        other = await host.create("$ true")
        await host.decide(waiting[0], await host.waiting_call(waiting[0]), "proceed_once")
        ended = await host.until(parent, "completed")
        later = await host.until(other, "completed")
    assert later["startedAt"] > ended["completedAt"]
