"""The tools that the agent of a task has, to hand on sub-tasks: what each is called, and what a model reads of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mcp_types as types

from server.agents.interface import Offer
from server.protocol import tasktexts, texts
from server.protocol.tools import ADDS, CHANGES, READS, Tool
from server.tasks import requests, views
from server.tasks.delegation import LISTED, Delegation
from server.tasks.inheritance import OWN_FOLDER, SAID, SAID_AGAIN, Inheritance

_LENT = "lend your own folder: readonly, readwrite, or a worktree, which is a branch of its own; left out: an empty one"


@dataclass(frozen=True, slots=True)
class DelegatedTool:
    """One tool, and the fields of its request that an agent may give."""

    tool: Tool[Any]
    fields: frozenset[str]

    def definition(self, inheritance: Inheritance) -> types.Tool:
        """The tool as `tools/list` shows it to an agent that can leave so much to others."""
        whole = self.tool.definition()
        return whole.model_copy(update={"input_schema": self._schema(whole.input_schema, inheritance)})

    def offer(self, inheritance: Inheritance) -> Offer:
        """The tool for an agent of this server's own."""
        definition = self.definition(inheritance)
        return Offer(
            name=self.tool.name,
            description=self.tool.description,
            schema=definition.input_schema,
            reads=self.tool.hints is READS,
        )

    def _schema(self, whole: Mapping[str, Any], inheritance: Inheritance) -> dict[str, Any]:
        known = self.tool.request.model_fields
        names = {known[field].alias or field for field in self.fields}
        properties = {name: schema for name, schema in whole["properties"].items() if name in names}
        for name, choices in _choices(inheritance).items():
            if name in properties:
                properties[name] = _chosen(properties[name], choices)
        if "workspace" in properties:
            properties["workspace"] = {**properties["workspace"], "description": _LENT}
        return {**whole, "properties": properties, **_definitions(whole)}


def _choices(inheritance: Inheritance) -> dict[str, tuple[str, ...]]:
    return {
        "agentId": inheritance.agents,
        "secretNames": inheritance.secret_names,
        "include": ("messages", "events"),
    }


def _chosen(schema: Mapping[str, Any], choices: tuple[str, ...]) -> dict[str, Any]:
    if schema.get("type") == "array":
        return {"type": "array", "items": {"type": "string", "enum": list(choices)}}
    return {"type": "string", "enum": list(choices)}


def _definitions(whole: Mapping[str, Any]) -> dict[str, Any]:
    """Files by their content alone, since an agent has no folder to read from; and its task's own folder to lend."""
    known = whole.get("$defs", {})
    narrowed = {}
    if "File" in known:
        narrowed["File"] = _with_properties(known["File"], source=None)
    if "WorkspaceRequest" in known:
        narrowed["WorkspaceRequest"] = _with_properties(known["WorkspaceRequest"], path={"const": OWN_FOLDER})
    return {"$defs": {**known, **narrowed}} if narrowed else {}


def _with_properties(schema: Mapping[str, Any], **changed: Mapping[str, Any] | None) -> dict[str, Any]:
    properties = {**schema["properties"], **changed}
    return {**schema, "properties": {name: of_one for name, of_one in properties.items() if of_one is not None}}


TOOLS: dict[str, DelegatedTool] = {
    each.tool.name: each
    for each in (
        DelegatedTool(
            Tool(
                "create_task",
                "Hand a part of your task to an agent that works in the background, in a folder of its own or yours, "
                "with your variables and never more rights than you have. Answers at once with its id. It knows "
                "nothing but what you tell it; its answer is in get_task.",
                requests.CreateTask,
                views.CreatedView,
                Delegation.create,
                texts.created,
                ADDS,
            ),
            SAID,
        ),
        DelegatedTool(
            Tool(
                "list_tasks",
                "Your sub-tasks, most recently active first, as summaries; with parentTaskId those of one of them.",
                requests.ListTasks,
                views.PageView,
                Delegation.page,
                texts.page,
                READS,
            ),
            LISTED,
        ),
        DelegatedTool(
            Tool(
                "get_task",
                "One of your sub-tasks with its output. With waitSeconds it answers once that has ended, or the time "
                "is over: better than asking again and again. A person decides what waits for approval.",
                requests.GetTask,
                views.TaskView,
                Delegation.get,
                tasktexts.subtask,
                READS,
            ),
            frozenset(requests.GetTask.model_fields),
        ),
        DelegatedTool(
            Tool(
                "send_message",
                "Go on with a sub-task of yours that has ended.",
                requests.SendMessage,
                views.StatusView,
                Delegation.send,
                texts.status,
                ADDS,
            ),
            SAID_AGAIN,
        ),
        DelegatedTool(
            Tool(
                "cancel_task",
                "Stop a sub-task of yours, and all that it has started.",
                requests.CancelTask,
                views.StatusView,
                Delegation.cancel,
                texts.status,
                CHANGES,
            ),
            frozenset(requests.CancelTask.model_fields),
        ),
    )
}
