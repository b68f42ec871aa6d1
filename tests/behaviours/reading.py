"""Behaviours of graphs, conversations, events and the wire, as the pages describe them."""

from tests.behaviours.pages import (
    AGENT_EVENTS,
    AGENT_GET,
    AGENT_LIST,
    AGENT_THREAD,
    ARTIFACTS,
    AUTHENTICATION,
    CONFIGURATION,
    CREATE,
    GET,
    HISTORY,
    LIST,
    ORGANIZATION_CREATE,
    ORGANIZATION_GET,
    ORGANIZATION_GRAPH,
    ORGANIZATION_LIST,
    STREAM,
    WIDGET,
)
from tests.behaviours.record import Until, deferred, departs, same

GRAPHS = (
    same("get_task_graph:taskListId", "`taskListId`", ORGANIZATION_GRAPH),
    same("get_task_graph:taskCount", "`taskCount`", ORGANIZATION_GRAPH),
    same("get_task_graph:roots", "`roots`: what depends on nothing", ORGANIZATION_GRAPH),
    same("get_task_graph:leaves", "`leaves`: what nothing depends on", ORGANIZATION_GRAPH),
    same("get_task_graph:summary", "`graph`: a summary of each task", ORGANIZATION_GRAPH),
    same("get_task_graph:dependsOn", "`graph`: what each depends on", ORGANIZATION_GRAPH),
    same("get_task_graph:dependents", "`graph`: what depends on each", ORGANIZATION_GRAPH),
)

CONVERSATIONS = (
    same("messages:order", "the messages of the conversation, oldest first", HISTORY, AGENT_THREAD),
    same("messages:role", "`role`: user or assistant", HISTORY, AGENT_THREAD),
    same("messages:content", "`content`", HISTORY, AGENT_THREAD),
    same("messages:createdAt", "`createdAt`", HISTORY),
    departs("messages:created_at", "`created_at` in seconds since 1970", "ISO 8601, as everywhere", AGENT_THREAD),
    same("messages:no_calls", "tool calls are no messages", AGENT_THREAD),
    same("messages:conversationId", "`conversationId` beside them", HISTORY),
    same("messages:status", "`status` beside them", HISTORY),
    departs("messages:taskId", "`taskId` beside them", "called `id`; a message of another task names it", HISTORY),
    departs(
        "messages:id",
        "`id` of each message",
        "none: a message is known by its task and its place, and nothing takes a message's id",
        HISTORY,
        AGENT_THREAD,
    ),
    departs(
        "messages:details",
        "`attachedFiles`, `thoughts`, `toolCalls` of each message",
        "of the latest turn in `output`, of all in the events: messages stay small",
        HISTORY,
    ),
    departs(
        "messages:subtasks",
        "a full thread has the messages of sub-tasks too",
        "each sub-task has its own, by `get_task`; `graph.subtasks` names them",
        AGENT_THREAD,
    ),
    deferred("messages:metrics", "`metrics`: tokens of each message", Until.MODEL, AGENT_THREAD),
)

EVENTS = (
    same("events:status", "`status`", STREAM, AGENT_EVENTS),
    same("events:thought", "`thought`", STREAM, AGENT_EVENTS),
    same("events:content", "`content` with `text`", STREAM, AGENT_EVENTS),
    departs(
        "events:content:isPartial",
        "`isPartial`",
        "every `content` is a piece; `done` says that the text is whole",
        STREAM,
    ),
    same("events:tool_call", "`tool_call`", STREAM, AGENT_EVENTS),
    same("events:tool_result", "`tool_result`", STREAM, AGENT_EVENTS),
    departs(
        "events:subagent",
        "`subagent_start`, `_thought`, `_tool`, `_end`",
        "`subtask` with each status; the sub-task has events of its own",
        STREAM,
        AGENT_EVENTS,
    ),
    same("events:error", "`error`", STREAM),
    same("events:done", "`done` with `finalResponse`", STREAM, AGENT_EVENTS),
    departs(
        "events:created",
        "`task_created`, `task_updated`, `task_finished`",
        "`status`, the first of them at the creation",
        AGENT_EVENTS,
    ),
    departs(
        "events:replay",
        "a reconnection replays the whole history",
        "a reader that names the last number it saw gets what is new, once and in order",
        STREAM,
    ),
    same("events:disconnect", "leaving does not cancel the task", STREAM),
    deferred("events:sse", "server-sent events", Until.HTTP, STREAM),
    deferred("events:sse:history", "`history_message` and `history_done` before them", Until.HTTP, STREAM),
    deferred("events:sse:heartbeat", "a heartbeat every 15 seconds", Until.HTTP, STREAM),
    deferred("events:connecting", "`status` of the connection: connecting, processing, retrying", Until.HTTP, STREAM),
    deferred("events:auth_event", "`auth_event`: a sign-in to a connector", Until.HTTP, AGENT_EVENTS),
    deferred("events:plan", "`plan_updated`, `analyze`, `task_compactization`", Until.MODEL, AGENT_EVENTS),
    deferred("events:hitl", "approvals of the steps of a workflow", Until.WORKFLOWS, AGENT_EVENTS),
    deferred("events:notifications", "approvals asked for by mail or chat", Until.HTTP, AGENT_EVENTS),
    same("events:activity", "the log of what a task did", AGENT_EVENTS),
)

FILES = (
    same("artifacts:list", "the files of a task: name, path, size, type, category, time", ARTIFACTS),
    departs(
        "artifacts:download", "the bytes of one of them", "in pieces, as text or base64, secrets masked", ARTIFACTS
    ),
    same("artifacts:kept", "what a task has written is there after its session", ARTIFACTS),
)

WIRE = (
    departs("wire:names", "names in snake_case", "camelCase, as in the two other APIs", AGENT_LIST, AGENT_GET),
    departs(
        "wire:times:milliseconds_since_1970",
        "times are whole numbers: milliseconds since 1970",
        "ISO 8601, UTC, in milliseconds, as in the two other APIs",
        ORGANIZATION_LIST,
        ORGANIZATION_GET,
    ),
    departs(
        "wire:times:microseconds",
        "times in microseconds",
        "in milliseconds: finer than that nothing is told apart",
        AGENT_LIST,
        AGENT_GET,
    ),
    same("wire:ids:uuid", "ids of tasks are UUIDs", ORGANIZATION_LIST, AGENT_LIST),
    same("wire:null", "null for what may be left out is taken as left out", CREATE),
    departs(
        "wire:organization",
        "the organization stands in the path",
        "there is one, `local`: the user of this machine",
        ORGANIZATION_LIST,
    ),
    departs(
        "wire:errors:envelope",
        "`success: false` and `error` with `code` and `message`",
        "a tool result marked `isError`, whose text is `CODE: message`; `_meta` has both, and more, as `remit/error`",
        AUTHENTICATION,
    ),
    deferred("wire:envelope", "`success: true` and `data`", Until.HTTP, AUTHENTICATION),
    deferred(
        "wire:status_codes", "HTTP status codes", Until.HTTP, CREATE, ORGANIZATION_LIST, ORGANIZATION_CREATE, AGENT_LIST
    ),
    deferred("wire:auth:api_key", "API keys, as a bearer token or a header", Until.HTTP, CREATE, GET, LIST, AGENT_LIST),
    deferred("wire:auth:jwt", "JSON web tokens", Until.HTTP, CREATE, ORGANIZATION_LIST, AGENT_LIST),
    deferred("wire:auth:AUTH_REQUIRED", "AUTH_REQUIRED: no authentication provided", Until.HTTP, CREATE, GET, LIST),
    deferred("wire:auth:INVALID_API_KEY", "INVALID_API_KEY: invalid or expired", Until.HTTP, CREATE, GET, LIST),
    deferred("wire:auth:INVALID_AUTH_FORMAT", "INVALID_AUTH_FORMAT, INVALID_TOKEN", Until.HTTP, AUTHENTICATION),
    deferred("wire:auth:FORBIDDEN", "FORBIDDEN, ORIGIN_NOT_ALLOWED", Until.HTTP, AUTHENTICATION),
    deferred("wire:auth:JWT_NOT_CONFIGURED", "JWT_NOT_CONFIGURED", Until.HTTP, AUTHENTICATION),
    deferred("wire:auth:projects", "keys that belong to a project", Until.HTTP, AUTHENTICATION, CONFIGURATION),
    deferred("wire:widget:token", "tokens for the users of a widget, and their errors", Until.HTTP, WIDGET),
    deferred("wire:widget:variables", "`env` and `secrets` kept with such a token", Until.HTTP, WIDGET),
    same("wire:mcp_servers", "MCP servers, remote and local, with tool filters", CONFIGURATION),
    deferred("wire:skills", "skills, prompts and sub-agents of a project", Until.MODEL, CONFIGURATION),
)
