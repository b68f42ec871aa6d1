"""The slot of a run, and what it tells of waits."""

from pathlib import Path

from server.tasks.execution.slot import Slot
from storage.sqlite.store import open_store
from tests.storage.fresh import fresh
from tests.storage.samples import claimed


async def test_a_wait_is_told_until_the_last_of_several_at_once_is_over(tmp_path: Path) -> None:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        slot = Slot(await claimed(store), lambda: None, hands_on=False)
    with slot.waiting_for("the first"):
        with slot.waiting_for("the second"):
            pass
        told = slot.waits_for
    assert (told, slot.waits_for) == ("the first", None)
