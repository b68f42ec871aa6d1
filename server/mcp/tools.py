"""The MCP tools: names, descriptions and schemas, and the service method behind each."""

import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Any, Generic, TypeVar

import mcp_types as types
from mcp import MCPError

from server.errors import ERROR_META, Code, RemitError
from server.json_text import memory
from server.mcp import answer_texts, task_text
from server.mcp.schema import answer_schema, request_schema
from server.plain_words import shortage
from server.tasks.requests import pruning, request_models
from server.tasks.requests.arguments import read
from server.tasks.requests.fields import Request
from server.tasks.requests.listing import ListTasks
from server.tasks.service import TaskService
from server.tasks.views import pending_approval, view_models
from server.threads import READING, computed

_log = logging.getLogger(__name__)

R = TypeVar("R", bound=Request)

Handler = Callable[[Any, Any, R], Awaitable[Any]]
"""The function behind a tool: takes the service, the caller and the request, and returns the answer."""


Text = Callable[[Any, Any], Sequence[str]]
"""Describes an answer in blocks of text: takes the answer and the request."""


@dataclass(frozen=True, slots=True)
class McpTool(Generic[R]):
    """One MCP tool."""

    name: str
    description: str
    request: type[R]
    answer: Any
    handle: Handler[R]
    text: Text
    hints: types.ToolAnnotations
    meta: Mapping[str, Any] | None = None
    """Metadata for particular hosts, under their own names; models do not see it."""

    def definition(self) -> types.Tool:
        """Return the tool for `tools/list`."""
        return types.Tool(
            name=self.name,
            description=self.description,
            input_schema=request_schema(self.request),
            output_schema=answer_schema(self.answer),
            annotations=self.hints,
            meta=dict(self.meta) if self.meta else None,
        )

    async def call(self, tasks: Any, caller: Any, arguments: dict[str, Any]) -> types.CallToolResult:
        """Validate the arguments and call the tool; returns text for models, and structured content for programs.

        Raises RemitError, VALIDATION_ERROR with the field for an invalid argument.
        """
        given = await computed(memory(arguments), read, self.request, arguments, threads=READING)
        request = await tasks.complete_ids(caller, given)
        answer = await self.handle(tasks, caller, request)
        blocks: list[types.ContentBlock] = [types.TextContent(text=text) for text in self.text(answer, request)]
        return types.CallToolResult(content=blocks, structured_content=answer)


READS = types.ToolAnnotations(read_only_hint=True, open_world_hint=False)
ADDS = types.ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False)
CHANGES = types.ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)

TOOLS: dict[str, McpTool[Any]] = {
    tool.name: tool
    for tool in (
        McpTool(
            "create_task",
            "Delegate work to a background agent: run commands, tests, long-running jobs or parallel subtasks in a "
            "sandbox. Answers at once with the id, and goes on when this session ends; get_task waits for the result.",
            request_models.CreateTask,
            view_models.CreatedView,
            TaskService.create,
            answer_texts.created,
            ADDS,
            meta={
                "anthropic/searchHint": "delegate long-running or risky shell commands, scripts, tests, builds and "
                "jobs to a sandboxed background agent, in parallel",
                "anthropic/alwaysLoad": True,
            },
        ),
        McpTool(
            "list_tasks",
            "Find background tasks and check their status; most recently active first.",
            ListTasks,
            view_models.PageView,
            TaskService.page,
            answer_texts.page,
            READS,
            meta={"anthropic/searchHint": "list background tasks and jobs, find running or failed ones, check status"},
        ),
        McpTool(
            "get_task",
            "A background task: status, output, calls, pendingApprovals. With waitSeconds it answers once it has ended "
            "or needs someone. What is cut says how to read on.",
            request_models.GetTask,
            view_models.TaskView,
            TaskService.get,
            task_text.task,
            READS,
            meta={
                "anthropic/searchHint": "check the status, progress, output or result of a background task or job, "
                "wait until it is done",
                "anthropic/alwaysLoad": True,
            },
        ),
        McpTool(
            "approve_tool_call",
            "Decide a waiting call: proceed_once; proceed_always, for similar calls of this session too; or cancel. "
            "Ask the user.",
            request_models.ApproveShownCall,
            view_models.ApprovedView,
            TaskService.approve,
            answer_texts.approved,
            CHANGES,
            meta={"anthropic/requiresUserInteraction": True},
        ),
        McpTool(
            "send_message",
            "Go on with an ended task (send literal secrets again). Without a message: bring a blocked "
            "task its lost secrets, or let a paused one make maxCalls more.",
            request_models.SendMessage,
            view_models.StatusView,
            TaskService.send,
            answer_texts.status,
            ADDS,
        ),
        McpTool(
            "cancel_task",
            "Stop a background task, its sub-tasks and all their processes.",
            request_models.CancelTask,
            view_models.StatusView,
            TaskService.cancel,
            answer_texts.status,
            CHANGES,
        ),
        McpTool(
            "update_task",
            "Change a task; report on one that others do. An empty text takes a value away.",
            request_models.UpdateTask,
            view_models.StatusView,
            TaskService.update,
            answer_texts.status,
            CHANGES,
        ),
        McpTool(
            "get_task_graph",
            "How the tasks of a list depend on each other, oldest first.",
            request_models.GetTaskGraph,
            view_models.GraphView,
            TaskService.graph,
            answer_texts.graph,
            READS,
        ),
        McpTool(
            "delete_task",
            "Remove a task for good, with its output, files and sub-tasks; a running one is cancelled.",
            request_models.DeleteTask,
            view_models.DeletedView,
            TaskService.delete,
            answer_texts.deleted,
            CHANGES,
        ),
        McpTool(
            "read_artifacts",
            "The files in a task's folder, or with path a piece of one; secrets are masked. nextOffset: there is more.",
            request_models.ReadArtifacts,
            view_models.ArtifactsView,
            TaskService.read_artifacts,
            answer_texts.artifacts,
            READS,
        ),
        McpTool(
            "list_agents",
            "Who can do tasks, what each needs, whether it is ready, and what the sandbox holds.",
            request_models.ListAgents,
            view_models.AgentsView,
            TaskService.agents,
            answer_texts.agents,
            READS,
        ),
    )
}


# Tools of a person at a terminal, added to those of models or replacing them; models need not read about them. A person
# has seen a call before deciding it, and need not repeat what it does.
TERMINAL_TOOLS: dict[str, McpTool[Any]] = {
    tool.name: tool
    for tool in (
        replace(TOOLS["approve_tool_call"], request=request_models.ApproveToolCall),
        McpTool(
            "list_worktrees",
            "The worktrees of your tasks that are there, or half there.",
            request_models.ListWorktrees,
            view_models.WorktreesView,
            TaskService.worktrees,
            answer_texts.worktrees,
            READS,
        ),
        McpTool(
            "prune_worktrees",
            "Remove worktrees of tasks that have ended.",
            pruning.PruneWorktrees,
            view_models.PrunedView,
            TaskService.prune,
            answer_texts.pruned,
            CHANGES,
        ),
        McpTool(
            "prune_tasks",
            "Remove what was kept for as long as the settings say.",
            pruning.PruneTasks,
            view_models.PrunedTasksView,
            TaskService.prune_tasks,
            answer_texts.pruned_tasks,
            CHANGES,
        ),
        McpTool(
            "list_grants",
            "What was approved for always and is still in force.",
            request_models.ListGrants,
            pending_approval.GrantsView,
            TaskService.grants,
            answer_texts.grants,
            READS,
        ),
        McpTool(
            "revoke_grant",
            "Take back a proceed_always.",
            request_models.RevokeGrant,
            pending_approval.RevokedView,
            TaskService.revoke,
            answer_texts.revoked,
            CHANGES,
        ),
    )
}


def offered(*, person: bool, decides: bool = True) -> dict[str, McpTool[Any]]:
    """Return a caller's tools by name; `decides` says whether its approvals count."""
    known = TOOLS | TERMINAL_TOOLS if person else TOOLS
    return known if decides else known | {"get_task": replace(TOOLS["get_task"], text=task_text.undecided)}


@cache
def _listed(*, person: bool) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[tool.definition() for tool in offered(person=person).values()])


def listed(params: types.PaginatedRequestParams | None, *, person: bool) -> types.ListToolsResult:
    """Return the answer to `tools/list`, a single page. Raises MCPError as `check_first_page` does."""
    check_first_page(params)
    return _listed(person=person)


def check_first_page(params: types.PaginatedRequestParams | None) -> None:
    """Raise MCPError (INVALID_PARAMS) for a cursor, since this server issues none."""
    if params and params.cursor:
        raise MCPError(types.INVALID_PARAMS, "cursor: it is not one of this list, which is a single page")


def unknown(name: str, known: Iterable[str]) -> MCPError:
    """Return the error for a tool that does not exist."""
    near = get_close_matches(name[:100], known, n=1)
    hint = f"did you mean {near[0]}?" if near else "see tools/list"
    return MCPError(types.INVALID_PARAMS, f"there is no tool {name[:100]!r}; {hint}")


async def outcome(name: str, call: Callable[[], Awaitable[types.CallToolResult]]) -> types.CallToolResult:
    """Return the result of a call; an error becomes a failed result."""
    try:
        return await call()
    except RemitError as error:
        return failed(error)
    except Exception as error:
        # The message might hold a secret; where it happened does not.
        where = "".join(traceback.format_tb(error.__traceback__))
        _log.error("%s failed: %s\n%s", name, type(error).__name__, where)
        unknown = f"internal error ({type(error).__name__}); see server.log in the state folder"
        message = str(shortage(error) or unknown)
        return failed(RemitError(Code.EXECUTION_ERROR, message))


def failed(error: RemitError) -> types.CallToolResult:
    """Return a failed call's result: a sentence for models, and the facts for programs in `_meta`.

    It has no structured content: clients validate that against the tool's output schema even for errors, and would tell
    the model of a mismatch instead. The sentence is not JSON, which some clients take for structured content.
    """
    sentence = types.TextContent(text=error.text)
    return types.CallToolResult(content=[sentence], is_error=True, meta={ERROR_META: error.facts})
