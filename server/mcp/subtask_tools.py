"""The sub-task tools of agents: their names, descriptions and schemas."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import mcp_types as types

from server.agents.interface import ToolSpec
from server.mcp import answer_texts, task_text
from server.mcp.tools import ADDS, CHANGES, READS, McpTool
from server.tasks.delegation.inheritance import OWN_FOLDER, SAID, SAID_AGAIN, Inheritance
from server.tasks.delegation.service import LISTED, DelegationService
from server.tasks.requests import request_models
from server.tasks.requests.arguments import OPTIONS
from server.tasks.requests.listing import ListTasks
from server.tasks.views import view_models

_LENT = (
    "share your own folder: readonly, readwrite, or a worktree, which is a branch of its own; left out: an empty one"
)


@dataclass(frozen=True, slots=True)
class DelegatedTool:
    """A tool for agents, and the request fields that an agent may set."""

    tool: McpTool[Any]
    fields: frozenset[str]

    def definition(self, inheritance: Inheritance) -> types.Tool:
        """Return the tool for `tools/list`, with the choices that this agent has."""
        whole = self.tool.definition()
        return whole.model_copy(update={"input_schema": self._schema(whole.input_schema, inheritance)})

    def spec(self, inheritance: Inheritance) -> ToolSpec:
        """Return the tool for an agent that runs in this server."""
        definition = self.definition(inheritance)
        return ToolSpec(
            name=self.tool.name,
            description=self.tool.description,
            schema=definition.input_schema,
            reads=self.tool.hints is READS,
        )

    def _schema(self, whole: Mapping[str, Any], inheritance: Inheritance) -> dict[str, Any]:
        known = self.tool.request.model_fields
        names = {known[field].alias or field for field in self.fields}
        properties = _among(names, whole["properties"])
        for name, choices in _choices(inheritance).items():
            if name in properties:
                properties[name] = _chosen(properties[name], choices)
        if "workspace" in properties:
            properties["workspace"] = _own_folder(properties["workspace"])
        if "files" in properties:
            properties["files"] = _by_content(properties["files"])
        return {**whole, "properties": properties}


def _among(names: Set[str], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties with these names, including those in `options`."""
    found = {name: schema for name, schema in properties.items() if name in names}
    if OPTIONS in properties:
        options = _kind(properties[OPTIONS])
        found[OPTIONS] = _of_kind(properties[OPTIONS], {**options, "properties": _among(names, options["properties"])})
    return found


def _kind(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a value without its null alternative."""
    return dict(schema["anyOf"][0] if "anyOf" in schema else schema)


def _of_kind(schema: Mapping[str, Any], kind: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, "anyOf": [kind, *schema["anyOf"][1:]]} if "anyOf" in schema else {**schema, **kind}


def _choices(inheritance: Inheritance) -> dict[str, tuple[str, ...]]:
    return {
        "agentId": inheritance.agents,
        "secretNames": inheritance.secret_names,
        "include": ("messages", "events"),
    }


def _chosen(schema: Mapping[str, Any], choices: tuple[str, ...]) -> dict[str, Any]:
    one = {"type": "string", "enum": list(choices)}
    return _of_kind(schema, {"type": "array", "items": one} if _kind(schema)["type"] == "array" else one)


def _own_folder(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Restrict the workspace to the task's own folder."""
    kind = _kind(schema)
    path = kind["properties"]["path"] | {"enum": [OWN_FOLDER]}
    return {**_of_kind(schema, {**kind, "properties": kind["properties"] | {"path": path}}), "description": _LENT}


def _by_content(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Restrict files to inline content, because an agent has no folder to read from."""
    kind = _kind(schema)
    file = kind["items"]
    properties = {name: each for name, each in file["properties"].items() if name != "source"}
    return _of_kind(schema, {**kind, "items": {**file, "properties": properties}})


TOOLS: dict[str, DelegatedTool] = {
    each.tool.name: each
    for each in (
        DelegatedTool(
            McpTool(
                "create_task",
                "Hand a part of your task to an agent that works in the background, in a folder of its own or yours, "
                "with your variables and never more rights than you have. Answers at once with its id. It knows "
                "nothing but what you tell it; its answer is in get_task.",
                request_models.CreateTask,
                view_models.CreatedView,
                DelegationService.create,
                answer_texts.created,
                ADDS,
            ),
            SAID,
        ),
        DelegatedTool(
            McpTool(
                "list_tasks",
                "Your sub-tasks, most recently active first, as summaries; with parentTaskId those of one of them.",
                ListTasks,
                view_models.PageView,
                DelegationService.page,
                answer_texts.page,
                READS,
            ),
            LISTED,
        ),
        DelegatedTool(
            McpTool(
                "get_task",
                "One of your sub-tasks with its output. With waitSeconds it answers once that has ended, or the time "
                "is over: better than asking again and again. A person decides what waits for approval.",
                request_models.GetTask,
                view_models.TaskView,
                DelegationService.get,
                task_text.subtask,
                READS,
            ),
            frozenset(request_models.GetTask.model_fields),
        ),
        DelegatedTool(
            McpTool(
                "send_message",
                "Go on with a sub-task of yours that has ended.",
                request_models.SendMessage,
                view_models.StatusView,
                DelegationService.send,
                answer_texts.status,
                ADDS,
            ),
            SAID_AGAIN,
        ),
        DelegatedTool(
            McpTool(
                "cancel_task",
                "Stop a sub-task of yours, and all that it has started.",
                request_models.CancelTask,
                view_models.StatusView,
                DelegationService.cancel,
                answer_texts.status,
                CHANGES,
            ),
            frozenset(request_models.CancelTask.model_fields),
        ),
    )
}
