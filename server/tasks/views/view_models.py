"""Models of answers: camelCase fields, ISO times."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # pydantic reads the one in typing only from Python 3.12 on

from server.tasks.views.pending_approval import PendingApprovalView
from storage.records.masked import MaskedText


class CreatedView(TypedDict):
    """The answer to create_task."""

    id: str
    status: str
    warnings: list[str]


class RowView(TypedDict):
    """A task in a list: a summary."""

    id: str
    title: str | None
    status: str
    message: NotRequired[str]
    agentId: str
    username: NotRequired[str]
    conversationId: NotRequired[str]
    createdAt: str
    startedAt: NotRequired[str | None]
    completedAt: NotRequired[str | None]
    updatedAt: NotRequired[str]
    lastActivityAt: str
    messageCount: NotRequired[int]
    description: NotRequired[str]
    taskListId: NotRequired[str]
    assignedAgentId: NotRequired[str]
    parentTaskId: NotRequired[str]
    triggeringAgentId: NotRequired[str]
    internalStatus: NotRequired[str]
    sourceNodeType: NotRequired[str]
    progress: NotRequired[float]
    showInHistory: NotRequired[bool]
    autoExecute: NotRequired[bool]
    blockedReason: NotRequired[str]
    blockedByTaskIds: NotRequired[list[str]]
    omittedBlockers: NotRequired[int]
    error: NotRequired[str]
    result: NotRequired[str]
    pendingApprovalCount: NotRequired[int]


class PageView(TypedDict):
    """The answer to list_tasks. `omittedFields` did not fit into the rows; get_task has them."""

    tasks: NotRequired[list[RowView]]
    taskIds: NotRequired[list[str]]
    omittedFields: NotRequired[list[str]]
    dependsOn: NotRequired[str]
    count: int
    total: int
    totalIsCapped: NotRequired[bool]
    partial: NotRequired[bool]
    limit: int
    offset: int
    page: NotRequired[int]
    perPage: NotRequired[int]
    totalPages: NotRequired[int]
    hasMore: bool
    nextCursor: NotRequired[str]
    userId: str
    organizationId: str


class ToolCallView(TypedDict):
    """A tool call of the agent."""

    callId: str
    toolName: str
    status: str
    args: dict[str, Any]
    description: str
    output: NotRequired[str]
    exitStatus: NotRequired[int]
    seconds: NotRequired[float]
    outcome: NotRequired[str]
    decidedBy: NotRequired[str]
    decidedAt: NotRequired[str]
    reason: NotRequired[str]


class UsageView(TypedDict):
    """The usage of the current turn's model."""

    requests: int
    inputTokens: int
    outputTokens: int


class OutputView(TypedDict):
    """The output of the current turn: of a long text both ends, or a piece, with a cursor that reads on.

    `omittedBefore` counts the characters before `content` that an earlier answer had, where only what is new is shown.
    """

    content: str
    nextCursor: NotRequired[str]
    omittedBefore: NotRequired[int]
    updatedAt: str | None
    thoughts: NotRequired[list[dict[str, str]]]
    omittedThoughts: NotRequired[int]
    toolCalls: list[ToolCallView]
    omittedToolCalls: NotRequired[int]
    usage: NotRequired[UsageView]


class MessageView(TypedDict):
    """One message of the conversation; with the task it belongs to, if that is another."""

    taskId: NotRequired[str]
    role: Literal["user", "assistant"]
    content: str
    createdAt: str


class EventView(TypedDict):
    """One line of the log."""

    number: int
    at: str
    type: str
    data: dict[str, Any]


class NeighbourView(TypedDict):
    """A task in the surroundings of another."""

    id: str
    status: str
    title: str


class NeighboursView(TypedDict):
    """The tasks related to one task; the first fifty of each relation."""

    dependsOn: list[NeighbourView]
    omittedDependencies: NotRequired[int]
    dependents: list[NeighbourView]
    omittedDependents: NotRequired[int]
    subtasks: list[NeighbourView]
    omittedSubtasks: NotRequired[int]


class NodeView(TypedDict):
    """A task in the graph of its list."""

    summary: dict[str, str]
    dependsOn: list[str]
    omittedDependencies: NotRequired[int]
    dependents: list[str]
    omittedDependents: NotRequired[int]


class GraphView(TypedDict):
    """The answer to get_task_graph."""

    taskListId: str
    taskCount: int
    taskCountIsCapped: NotRequired[bool]
    roots: list[str]
    omittedRoots: NotRequired[int]
    leaves: list[str]
    omittedLeaves: NotRequired[int]
    graph: dict[str, NodeView]
    hasMore: bool


class WorkspaceView(TypedDict):
    """A user's folder that a task works in, and the state of its worktree."""

    path: str
    mode: str
    shared: bool
    folder: NotRequired[str]
    branch: NotRequired[str]
    baseCommit: NotRequired[str]
    headCommit: NotRequired[str]
    carriedCommit: NotRequired[str]
    dirty: NotRequired[bool]
    changedFiles: NotRequired[list[dict[str, str]]]
    omittedFiles: NotRequired[int]
    diff: NotRequired[str]
    problem: NotRequired[str]


class TaskView(TypedDict):
    """The answer to get_task; with `afterEvent`, no constant field but the id, and only what came after that event."""

    id: str
    status: str
    lastEvent: int
    afterEvent: NotRequired[int]
    warnings: NotRequired[list[str]]
    omittedWarnings: NotRequired[int]
    error: str | None
    errorCode: NotRequired[str]
    attempt: NotRequired[int]
    attemptReason: NotRequired[str]
    blockedReason: NotRequired[str]
    blockedAt: NotRequired[str]
    cancelRequested: NotRequired[bool]
    pendingApprovals: NotRequired[list[PendingApprovalView]]
    omittedApprovals: NotRequired[int]
    subtasksAwaitingApproval: NotRequired[list[str]]
    omittedAwaiting: NotRequired[int]
    progress: NotRequired[float]
    progressMessage: NotRequired[str]
    startedAt: str | None
    completedAt: str | None
    updatedAt: str
    lastActivityAt: str
    messageCount: int
    result: str | None
    blockedByTaskIds: NotRequired[list[str]]
    omittedBlockers: NotRequired[int]
    workspace: NotRequired[WorkspaceView]
    expiresAt: NotRequired[str]
    workspaceRemovedAt: NotRequired[str]
    output: NotRequired[OutputView]
    messages: NotRequired[list[MessageView]]
    omittedMessages: NotRequired[int]
    events: NotRequired[list[EventView]]
    omittedEvents: NotRequired[int]
    graph: NotRequired[NeighboursView]
    apiKeyId: NotRequired[str]
    userId: NotRequired[str]
    username: NotRequired[str]
    organizationId: NotRequired[str]
    sessionId: NotRequired[str]
    conversationId: NotRequired[str]
    createdAt: NotRequired[str]
    agentId: NotRequired[str]
    title: NotRequired[str | None]
    description: NotRequired[str]
    message: NotRequired[str]
    systemPrompt: NotRequired[str | None]
    showInHistory: NotRequired[bool]
    autoExecute: NotRequired[bool]
    env: NotRequired[dict[str, str] | None]
    secretNames: NotRequired[list[str]]
    omittedSecretNames: NotRequired[int]
    metadata: NotRequired[dict[str, Any] | None]
    timeoutSeconds: NotRequired[int]
    taskListId: NotRequired[str]
    parentTaskId: NotRequired[str]
    triggeringAgentId: NotRequired[str]
    assignedAgentId: NotRequired[str]
    internalStatus: NotRequired[str]
    dependsOn: NotRequired[list[str]]
    omittedDependencies: NotRequired[int]
    onDependencyFailure: NotRequired[str]
    maxCalls: NotRequired[int]
    sourceNodeType: NotRequired[str]
    limits: NotRequired[dict[str, Any]]
    require: NotRequired[dict[str, Any]]
    allowHooks: NotRequired[bool]
    onInterrupt: NotRequired[str]
    approvalTimeoutSeconds: NotRequired[int]
    mcpServers: NotRequired[list[str]]
    omittedMcpServers: NotRequired[int]
    sandbox: NotRequired[str]


class ApprovedView(TypedDict):
    """The answer to approve_tool_call: false when the outcome was cancel."""

    approved: bool
    status: str


class StatusView(TypedDict):
    """The answer to send_message and cancel_task."""

    id: str
    status: str
    cancelRequested: NotRequired[bool]
    warnings: NotRequired[list[str]]


class DeletedView(TypedDict):
    """The answer to delete_task."""

    deletedTaskIds: list[str]
    deletedCount: int


class AgentView(TypedDict):
    """An agent and its readiness."""

    id: str
    description: str
    ready: bool
    needs: NotRequired[str]
    version: NotRequired[str]
    notes: NotRequired[list[str]]


class AgentsView(TypedDict):
    """The answer to list_agents."""

    agents: list[AgentView]
    default: str
    approvals: str
    always: str
    settingsNotInForce: list[str]
    sandbox: str
    notHeld: list[str]
    secretNames: list[str]
    mcpServers: list[str]


class ArtifactView(TypedDict):
    """A file of a task."""

    name: MaskedText
    path: MaskedText
    size: int
    mimeType: str
    category: str
    modifiedAt: str


class ArtifactsView(TypedDict, total=False):
    """The answer to read_artifacts: some of the files, or a piece of one."""

    files: list[ArtifactView]
    total: int
    partial: bool
    size: int
    mimeType: str
    modifiedAt: str
    text: MaskedText
    base64: MaskedText
    nextOffset: int
    notMasked: list[str]


class WorktreeView(TypedDict):
    """A worktree, complete or made or removed only in part."""

    taskId: str
    path: str
    repository: str
    branch: str
    state: str
    lastActivityAt: str
    changedFiles: NotRequired[list[list[str]]]
    omittedFiles: NotRequired[int]
    problem: NotRequired[str]


class WorktreesView(TypedDict):
    """The answer to list_worktrees."""

    worktrees: list[WorktreeView]


class PrunedView(TypedDict):
    """The answer to prune_worktrees: what is gone, and why the others are not."""

    prunedTaskIds: list[str]
    kept: list[str]


class PrunedTasksView(TypedDict):
    """The answer to prune_tasks: how many tasks are gone."""

    removedCount: int
