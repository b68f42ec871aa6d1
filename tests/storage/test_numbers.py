"""Numbers that are relied upon: what counts tasks, and what names them in cursors and runs."""

import sqlite3

from storage.interface import Store
from storage.records.lists import Filter
from storage.records.tasks import NestingLimits
from storage.sqlite.operations.deletion import remove
from storage.sqlite.store import SqliteStore
from tests.storage.samples import ANN, new_task


async def test_a_number_is_not_given_twice(store: Store) -> None:
    first, second = new_task(), new_task()
    await store.create_task(ANN, first)
    before = (await store.task(ANN, first.id)).seq
    await store.delete(ANN, first.id)
    await store.create_task(ANN, second)
    assert (await store.task(ANN, second.id)).seq > before


async def test_a_task_that_has_lost_its_parent_is_not_counted_beneath_it(store: SqliteStore) -> None:
    parent = new_task()
    await store.create_task(ANN, parent)
    await store.create_task(ANN, new_task(parent=parent.id, nesting=NestingLimits(depth=1, count=1)))
    assert (await store.find(ANN, Filter(parent=parent.id), 10)).total == 1

    def orphan(db: sqlite3.Connection) -> list[sqlite3.Row]:
        remove(db, db.execute("SELECT * FROM tasks WHERE id = ?", (parent.id,)).fetchone())
        return db.execute("SELECT * FROM tallies WHERE filter = 'parent'").fetchall()

    assert await store._db.write(orphan) == []
