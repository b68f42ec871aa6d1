"""Graphs as they are shown: bounded, and honest about what is left out."""

import json

from server.tasks.requests.request_models import GetTaskGraph
from server.tasks.views import graph_view
from storage.records.graphs import Graph, Node, RelatedTask
from storage.records.states import Status

IDS = [f"{number:036}" for number in range(100)]


def test_a_page_of_a_dense_graph_stays_small_and_counts_what_it_leaves_out() -> None:
    nodes = [
        Node(RelatedTask(task_id, Status.PENDING, "a title " * 20), IDS[:50], IDS[:50], 700, 800) for task_id in IDS
    ]
    graph = Graph(task_count=100, capped=False, root_count=100, leaf_count=100, roots=IDS, leaves=IDS, nodes=nodes)
    view = graph_view.graph(graph, GetTaskGraph.model_validate({"taskListId": "one"}))
    assert len(json.dumps(view["graph"], separators=(",", ":"))) <= 50_000
    for node in view["graph"].values():
        assert (len(node["dependsOn"]) + node["omittedDependencies"], len(node["dependsOn"]) > 0) == (700, True)
        assert (len(node["dependents"]) + node["omittedDependents"], len(node["dependents"]) > 0) == (800, True)


def test_a_small_graph_leaves_nothing_out() -> None:
    node = Node(RelatedTask("a", Status.PENDING, "a title"), [], ["b"], 0, 1)
    graph = Graph(task_count=1, capped=False, root_count=1, leaf_count=1, roots=["a"], leaves=["a"], nodes=[node])
    view = graph_view.graph(graph, GetTaskGraph.model_validate({"taskListId": "one"}))
    assert view["graph"] == {
        "a": {"summary": {"title": "a title", "status": "pending"}, "dependsOn": [], "dependents": ["b"]}
    }
