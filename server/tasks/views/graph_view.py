"""Views of a task list's graph, and of one task's neighbours."""

from collections.abc import Sequence

from server.tasks.requests.request_models import GetTaskGraph
from server.tasks.views import truncation
from server.tasks.views.formatting import start
from server.tasks.views.row_view import fits
from server.tasks.views.truncation import AnswerPart
from server.tasks.views.view_models import GraphView, NeighboursView, NeighbourView, NodeView, TaskView
from storage.records.graphs import Graph, Node, Related, RelatedTask

_RELATIVES = (50, 20, 10, 5, 2)
"""Ids on each side of a node, tried one after the other."""


def graph(graph: Graph, request: GetTaskGraph) -> GraphView:
    """Return the answer to get_task_graph."""
    view = GraphView(
        taskListId=request.task_list_id,
        taskCount=graph.task_count,
        roots=graph.roots,
        leaves=graph.leaves,
        graph=_nodes(graph.nodes),
        hasMore=request.offset + len(graph.nodes) < graph.task_count,
    )
    if graph.root_count > len(graph.roots):
        view["omittedRoots"] = graph.root_count - len(graph.roots)
    if graph.leaf_count > len(graph.leaves):
        view["omittedLeaves"] = graph.leaf_count - len(graph.leaves)
    if graph.capped:
        view["taskCountIsCapped"] = True
    return view


def related(view: TaskView, related: Related) -> list[AnswerPart]:
    """Return the tasks related to one task: its dependencies, dependents and sub-tasks."""
    shown = view["graph"] = NeighboursView(dependsOn=[], dependents=[], subtasks=[])
    given = {
        "dependsOn": (related.depends_on, "omittedDependencies"),
        "dependents": (related.dependents, "omittedDependents"),
        "subtasks": (related.subtasks, "omittedSubtasks"),
    }
    return [
        truncation.items(shown, name, [_neighbour(task) for task in tasks], omitted, weight=2)
        for name, (tasks, omitted) in given.items()
    ]


def _nodes(nodes: Sequence[Node]) -> dict[str, NodeView]:
    """Return the nodes of a page, each with as many related ids as the page has room for."""
    views: dict[str, NodeView] = {}
    for most in _RELATIVES:
        views = {node.task.id: _node(node, most) for node in nodes}
        if fits(views):
            break
    return views


def _node(node: Node, most: int) -> NodeView:
    view = NodeView(
        summary={"title": start(node.task.title), "status": str(node.task.status)},
        dependsOn=node.depends_on[:most],
        dependents=node.dependents[:most],
    )
    if omitted := node.dependency_count - len(view["dependsOn"]):
        view["omittedDependencies"] = omitted
    if omitted := node.dependent_count - len(view["dependents"]):
        view["omittedDependents"] = omitted
    return view


def _neighbour(task: RelatedTask) -> NeighbourView:
    return NeighbourView(id=task.id, status=task.status, title=start(task.title))
