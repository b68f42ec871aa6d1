"""The graph of a list, as much of it as is asked for."""

import pytest

from storage.interface import Store
from storage.sqlite.listing import graph
from storage.sqlite.store import SqliteStore
from tests.storage.relations.test_propagation import record
from tests.storage.samples import ANN


async def test_a_node_names_its_first_relatives_and_counts_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MOST_RELATIVES", 3)
    needed = [await record(store, task_list="one") for _ in range(5)]
    middle = await record(store, *needed, task_list="one")
    waiting = [await record(store, middle, task_list="one") for _ in range(4)]
    found = await store.graph(ANN, "one", 1, 5)
    (node,) = found.nodes
    assert (node.task.id, node.depends_on, node.dependency_count) == (middle, needed[:3], 5)
    assert (node.dependents, node.dependent_count) == (waiting[:3], 4)
    assert (found.task_count, found.root_count, found.leaf_count) == (10, 5, 4)


async def test_what_depends_on_other_lists_alone_is_a_root_and_a_leaf(store: Store) -> None:
    outside = await record(store, task_list="two")
    inside = await record(store, outside, task_list="one")
    await record(store, inside, task_list="two")
    found = await store.graph(ANN, "one", 10, 0)
    assert (found.roots, found.leaves) == ([inside], [inside])
    assert found.nodes[0].depends_on == [outside]


async def test_a_page_takes_as_many_statements_however_many_tasks_it_holds(store: SqliteStore) -> None:
    async def statements(task_list: str) -> int:
        said: list[str] = []
        await store._db.read(lambda db: db.set_trace_callback(said.append))
        await store.graph(ANN, task_list, 100, 0)
        await store._db.read(lambda db: db.set_trace_callback(None))
        return len(said)

    for task_list, count in (("few", 2), ("many", 30)):
        first = await record(store, task_list=task_list)
        for _ in range(count - 1):
            await record(store, first, task_list=task_list)
    assert await statements("few") == await statements("many")
