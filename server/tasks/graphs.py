"""Graphs as a user is shown them."""

from server.tasks.requests import GetTaskGraph
from server.tasks.text import start
from server.tasks.views import GraphView, NeighboursView, NeighbourView, NodeView
from storage.kinship import Graph, Neighbour, Neighbours, Node


def graph(graph: Graph, request: GetTaskGraph) -> GraphView:
    """The answer to get_task_graph."""
    view = GraphView(
        taskListId=request.task_list_id,
        taskCount=graph.task_count,
        roots=graph.roots,
        leaves=graph.leaves,
        graph={node.task.id: _node(node) for node in graph.nodes},
        hasMore=request.offset + len(graph.nodes) < graph.task_count,
    )
    if graph.root_count > len(graph.roots):
        view["omittedRoots"] = graph.root_count - len(graph.roots)
    if graph.leaf_count > len(graph.leaves):
        view["omittedLeaves"] = graph.leaf_count - len(graph.leaves)
    if graph.capped:
        view["taskCountIsCapped"] = True
    return view


def neighbours(neighbours: Neighbours) -> NeighboursView:
    """What surrounds one task."""
    return NeighboursView(
        dependsOn=[_neighbour(task) for task in neighbours.depends_on],
        dependents=[_neighbour(task) for task in neighbours.dependents],
        subtasks=[_neighbour(task) for task in neighbours.subtasks],
    )


def _node(node: Node) -> NodeView:
    summary = {"title": start(node.task.title), "status": str(node.task.status)}
    return NodeView(summary=summary, dependsOn=node.depends_on, dependents=node.dependents)


def _neighbour(task: Neighbour) -> NeighbourView:
    return NeighbourView(id=task.id, status=task.status, title=start(task.title))
