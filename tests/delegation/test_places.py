"""Trees of tasks get done whatever places there are, and end together."""

import anyio
import pytest

from tests.delegation.conftest import VISITOR, Opened
from tests.servers import Host

pytestmark = pytest.mark.anyio

WIDTH = 10
PATIENCE = 580

TREE = (
    VISITOR.replace("\nif __name__", "\n\nif False and __name__")
    + f"""

WIDTH = {WIDTH}
levels = int(os.environ["LEVELS"])
if levels:
    visitor = Visitor()
    visitor.begin()
    own = open(sys.argv[0]).read()
    uploads = [{{"path": "tree.py", "content": own}}]
    # A leaf has nothing to hand on, and so no need of a Python.
    message = "$ python3 -I -S uploads/tree.py" if levels > 1 else "$ echo leaf"
    made = [
        visitor.call("create_task", message=message, env={{"LEVELS": str(levels - 1)}}, files=uploads)["id"]
        for _ in range(WIDTH)
    ]
    for task in made:
        while visitor.call("get_task", id=task, waitSeconds=45)["status"] != "completed":
            pass
print("done")
"""
)


async def grown(host: Host, levels: int) -> str:
    """The id of the task at the root of a tree of so many levels beneath it."""
    uploads = [{"path": "tree.py", "content": TREE}]
    return await host.create("$ python3 -I -S uploads/tree.py", env={"LEVELS": str(levels)}, files=uploads)


async def counts(host: Host, *statuses: str) -> int:
    return int((await host.call("list_tasks", status=list(statuses), limit=1))["total"])


@pytest.mark.parametrize("places", [1, 2])
async def test_three_levels_of_ten_sub_tasks_each_are_done(window: Opened, places: int) -> None:
    async with window(REMIT_MAX_RUNNING=str(places), REMIT_SUBTASKS__COUNT="2000") as host:
        with anyio.fail_after(PATIENCE):
            task_id = await grown(host, 3)
            while (task := await host.call("get_task", id=task_id, waitSeconds=45))["status"] != "completed":
                assert task["status"] in ("pending", "running"), task["error"]
        assert await counts(host, "completed") == 1 + WIDTH + WIDTH**2 + WIDTH**3
