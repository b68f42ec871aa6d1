"""Behaviours of creating a task, as the pages describe them."""

from tests.behaviours.pages import AGENT_INVOKE, CONFIGURATION, CREATE, ORGANIZATION_CREATE
from tests.behaviours.record import Until, deferred, departs, same

CREATING = (
    # The message and what is said of it.
    same("create_task:message:required", "without `message`: VALIDATION_ERROR", CREATE),
    same("create_task:message:invalid", "a `message` that is no text: VALIDATION_ERROR", CREATE),
    departs(
        "create_task:message:words",
        "`message` is in words",
        "the default agent, `shell`, runs commands and refuses words, so that no sentence runs as a script; "
        "the setting `default_agent` names one with a model",
        CREATE,
        AGENT_INVOKE,
    ),
    departs(
        "create_task:title:required",
        "`title` is required",
        "optional: `message` is what a task is made of, and stands in for a missing title",
        ORGANIZATION_CREATE,
    ),
    same("create_task:title", "`title`", ORGANIZATION_CREATE, AGENT_INVOKE),
    same("create_task:description", "`description`", ORGANIZATION_CREATE),
    same("create_task:metadata", "`metadata`, an object of one's own", ORGANIZATION_CREATE),
    departs("create_task:input_text", "`input.text` is what to do", "called `message`", AGENT_INVOKE),
    same("create_task:systemPrompt", "`systemPrompt`, kept and shown", CREATE),
    same("create_task:systemPrompt:default_null", "`systemPrompt` is null by default", CREATE),
    same("create_task:systemPrompt:prepended", "`systemPrompt` stands before the message", CREATE),
    # How it is done.
    same("create_task:background", "answers at once; the task runs in the background", CREATE),
    same("create_task:showInHistory", "`showInHistory`: false keeps a task out of the history", CREATE),
    same("create_task:showInHistory:default_true", "`showInHistory` is true by default", CREATE),
    same("create_task:autoExecute:default_true", "`autoExecute` is true by default: calls need no approval", CREATE),
    same("create_task:autoExecute:false", "`autoExecute`: false has each call wait for approval", CREATE),
    same("create_task:autoExecute:event", "a waiting call is a `tool_call` event, `awaiting_approval`", CREATE),
    same("create_task:autoExecute:pendingApprovals", "a waiting call stands in `pendingApprovals`", CREATE),
    same("create_task:autoExecute:approve", "a waiting call is approved or rejected by its id", CREATE),
    # Files.
    same("create_task:files:uploads", "files lie in `uploads/`", CREATE),
    same("create_task:files:at_most_20", "at most 20 files", CREATE),
    same("create_task:files:50_mb", "a file may have 50 MB", CREATE),
    same("create_task:files:over_50_mb", "a file of more than 50 MB is refused", CREATE),
    departs(
        "create_task:files:inline",
        "the bytes of every file come with the request",
        "in base64 or as text, 8 MiB in all; a larger file is named (`source`) and read where it lies",
        CREATE,
    ),
    departs(
        "create_task:files:with_env",
        "`files` cannot go with `env` or `secrets`",
        "they go together: there is no multipart here that would forbid it",
        CREATE,
    ),
    deferred("create_task:files:multipart", "files are sent as multipart/form-data", Until.HTTP, CREATE),
    # Variables and secrets.
    same("create_task:env", "`env` is stored with the task and shown", CREATE),
    same("create_task:env:default_null", "`env` is null by default", CREATE),
    same("create_task:env:variables", "`env` and `secrets` are variables of the commands", CREATE),
    same("create_task:env:invalid_name", "a name of other characters, or with a digit first: VALIDATION_ERROR", CREATE),
    same(
        "create_task:env:text_values",
        "values are texts, also where a number, true or false was sent: VALIDATION_ERROR for others",
        CREATE,
    ),
    same("create_task:secrets:default_null", "`secrets` is null by default", CREATE),
    same("create_task:secrets:never_stored", "the values of `secrets` are never stored", CREATE),
    same("create_task:secrets:never_logged", "the values of `secrets` are never logged", CREATE),
    same("create_task:secrets:never_returned", "the values of `secrets` are in no answer", CREATE),
    same("create_task:secrets:win", "on a clash with `env` the secret wins", CREATE),
    same("create_task:templates:env", "`{{mcp.KEY}}` is filled in from `env` and `secrets`", CREATE),
    same(
        "create_task:templates:mcp_servers",
        "`{{mcp.KEY}}` is filled in in the url, headers and env of MCP servers",
        CREATE,
        CONFIGURATION,
    ),
    # What it belongs to and waits for.
    same("create_task:taskListId", "`taskListId`: any text makes a list", ORGANIZATION_CREATE),
    same("create_task:assignedAgentId", "`assignedAgentId`", ORGANIZATION_CREATE),
    same("create_task:triggeringAgentId", "`triggering_agent_id`", AGENT_INVOKE),
    departs("create_task:createdByAgentId", "`createdByAgentId`", "`triggeringAgentId` says it", ORGANIZATION_CREATE),
    departs("create_task:parent_execution_id", "`parent_execution_id`", "called `parentTaskId`", AGENT_INVOKE),
    same("create_task:dependsOn", "`dependsOn`: those must complete before the task can start", ORGANIZATION_CREATE),
    departs(
        "create_task:dependsOn:uuid",
        "`dependsOn` holds UUIDs, and nothing else",
        "any text is looked up: what names no task is NOT_FOUND, whatever its form",
        ORGANIZATION_CREATE,
    ),
    departs(
        "create_task:status",
        "`status` may be given",
        "a task begins `pending`, or `blocked` by what it depends on: a status that is wished could be untrue",
        ORGANIZATION_CREATE,
    ),
    departs(
        "create_task:blockedReason", "`blockedReason` may be given", "derived, like the status", ORGANIZATION_CREATE
    ),
    departs(
        "create_task:blockedByTaskIds",
        "`blockedByTaskIds` may be given",
        "derived from `dependsOn`, so that the two cannot disagree",
        ORGANIZATION_CREATE,
    ),
    departs(
        "create_task:maxRetries",
        "`maxRetries`, 3 by default and 10 at most",
        "nothing is repeated unless the task says so (`onInterrupt`): a call that was cut off may have had effects",
        ORGANIZATION_CREATE,
    ),
    departs(
        "create_task:id",
        "`id` goes on with an earlier task",
        "`send_message` does; `conversationId` joins a new task to a conversation",
        AGENT_INVOKE,
    ),
    # The answer.
    same("create_task:answer:id", "answers with `id`", CREATE),
    same("create_task:answer:status", "answers with `status`, `pending` at first", CREATE),
    departs(
        "create_task:answer:blocked",
        "the first status is `pending`",
        "`blocked` where something it depends on has not completed",
        CREATE,
        AGENT_INVOKE,
    ),
    departs(
        "create_task:answer:fields",
        "answers with `taskId`, `orgId`, `title`, `status` and `createdAt`",
        "`id`, `status` and `warnings`: small, and `get_task` has the rest",
        ORGANIZATION_CREATE,
    ),
    departs(
        "create_task:execution_error",
        "EXECUTION_ERROR: the task failed",
        "the answer comes before the work, so the task carries the code",
        CREATE,
    ),
    # What needs other parts.
    deferred("create_task:invoke:stream", "an invocation that streams its events", Until.HTTP, AGENT_INVOKE),
    departs(
        "create_task:invoke:sync",
        "an invocation that answers with the result",
        "`get_task` with `waitSeconds`, 45 at most: hosts cut longer calls off",
        AGENT_INVOKE,
    ),
    deferred("create_task:invoke:user", "`user`: on whose behalf", Until.HTTP, AGENT_INVOKE),
    deferred("create_task:invoke:user_tokens", "`user_tokens`, `user_oidc_token`", Until.HTTP, AGENT_INVOKE),
    deferred("create_task:invoke:events_streaming", "`events_streaming`", Until.HTTP, AGENT_INVOKE),
    deferred(
        "create_task:invoke:output", "`output_format`, `output_schema`, `expected_output`", Until.MODEL, AGENT_INVOKE
    ),
    deferred(
        "create_task:invoke:instructions", "`instructions_override`, `additional_context`", Until.MODEL, AGENT_INVOKE
    ),
    deferred("create_task:invoke:model", "the model, its provider, `think_mode`, effort", Until.MODEL, AGENT_INVOKE),
    departs(
        "create_task:invoke:mcp_servers",
        "`mcp_servers` of one task",
        "`mcpServers` names those of the settings: what is started or spoken to is the operator's to say",
        AGENT_INVOKE,
    ),
    deferred("create_task:invoke:attachments", "`disable_attachment_injection`", Until.MODEL, AGENT_INVOKE),
    departs(
        "create_task:invoke:metrics",
        "`return_metrics`: tokens used",
        "always there, as `output.usage`, where a model was used",
        AGENT_INVOKE,
    ),
    deferred("create_task:invoke:version", "`version=draft` of an agent", Until.WORKFLOWS, AGENT_INVOKE),
    deferred("create_task:invoke:worker", "`worker_id`, `payload_extension`, `source`", Until.WORKFLOWS, AGENT_INVOKE),
    deferred("create_task:scheduled", "tasks that are created at set times", Until.SCHEDULES, AGENT_INVOKE),
)
