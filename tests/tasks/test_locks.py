"""The locks of several tasks at once."""

import anyio

from server.tasks.locks import KeyedLock


async def test_two_that_want_the_same_locks_do_not_wait_for_each_other() -> None:
    locks = KeyedLock()
    done = []

    async def hold(*task_ids: str) -> None:
        async with locks.all(task_ids):
            done.append(task_ids)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(hold, "a", "b")
            group.start_soon(hold, "b", "a")
    assert len(done) == 2
