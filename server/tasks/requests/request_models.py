"""Models of requests: every operation of the service, validated alike for every interface.

Optional fields take null as if they were left out, because models that call tools fill them so.
"""

from dataclasses import fields
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, model_validator
from pydantic.alias_generators import to_camel

from server.limits import (
    DAY,
    GRAPH_PAGE,
    LONGEST_TIMEOUT,
    MAX_ANSWER,
    MAX_FILES,
    MAX_GRAPH_PAGE,
    MAX_WAIT_SECONDS,
)
from server.tasks.requests.fields import (
    MAX_CALLS,
    MAX_DEPENDENCIES,
    MAX_DESCRIPTION,
    MAX_LABEL,
    MAX_MESSAGE,
    MAX_TITLE,
    MAX_VARIABLES,
    MAX_WORDS,
    AtMost,
    Cleared,
    ConfiguredName,
    Id,
    Label,
    Line,
    Metadata,
    Name,
    Outcome,
    PathText,
    Reason,
    ReportedWord,
    Request,
    TaskId,
    Value,
    check_size,
)
from server.tasks.requests.parts import File, Guarantees, LowerLimits, WorkspaceRequest
from storage.records.states import Status, statuses
from storage.records.tasks import NOBODY, Update

FOR_EXECUTION = f'is for tasks this server executes, not for agentId "{NOBODY}"'
"""Why a record refuses a field of a request, in words."""

_EXECUTION_FIELDS = (
    "secrets",
    "secret_names",
    "files",
    "workspace",
    "limits",
    "require",
    "allow_hooks",
    "max_calls",
    "timeout_seconds",
    "mcp_servers",
    "on_interrupt",
    "approval_timeout_seconds",
)

_RARE = frozenset(
    """
    onDependencyFailure parentTaskId assignedAgentId timeoutSeconds maxCalls limits require allowHooks mcpServers
    idempotencyKey onInterrupt approvalTimeoutSeconds
    """.split()
)
_OF_RECORDS = frozenset({"description", "triggeringAgentId", "conversationId", "metadata"})

_TAKEN_AWAY = frozenset({"taskListId", "assignedAgentId"})
_OF_STATUS = {"result": Status.COMPLETED, "error": Status.FAILED, "blocked_reason": Status.BLOCKED}
_WITH_RULES = {"id", *(field.name for field in fields(Update))}
"""What of a change is no column, or has rules of its own."""


class CreateTask(Request):
    """A new task."""

    grouped = _RARE
    unlisted = _OF_RECORDS
    unstored = frozenset({"secrets", "secretNames", "agentId", "mcpServers"})

    message: Value = Field(
        min_length=1,
        max_length=MAX_MESSAGE,
        description="shell: commands, on lines that start with `$ ` or in a ```sh block; only folder and exported "
        "variables carry on; others: the job in words",
    )
    title: Line | None = Field(None, min_length=1, max_length=MAX_TITLE, description="for lists")
    description: str | None = Field(
        None, min_length=1, max_length=MAX_DESCRIPTION, description="a note; the job is message"
    )
    system_prompt: str | None = Field(None, min_length=1, max_length=MAX_MESSAGE, description="for agents with a model")
    agent_id: str = Field(
        "shell",  # where the setting default_agent names no other
        min_length=1,
        max_length=64,
        description='see list_agents; "none": others do it, by update_task',
    )
    task_list_id: Label | None = Field(None, description="any list's name")
    depends_on: list[Id] = Field(default_factory=list, max_length=MAX_DEPENDENCIES, description="ids to wait for")
    on_dependency_failure: Literal["fail", "continue"] = Field("fail", description="default fail")
    parent_task_id: Id | None = Field(None, description="the task it is part of")
    triggering_agent_id: Label | None = Field(None, description="who asks")
    assigned_agent_id: Label | None = Field(None, description="who does it")
    conversation_id: Id | None = Field(None, description="to join")
    auto_execute: StrictBool = Field(True, description="false: each tool call waits for approve_tool_call")
    show_in_history: StrictBool = Field(True, description="kept with the task")
    env: dict[Name, Value] = Field(default_factory=dict, max_length=MAX_VARIABLES, description="variables, shown")
    secrets: dict[Name, Value] = Field(
        default_factory=dict, max_length=MAX_VARIABLES, description="secret variables, never stored"
    )
    secret_names: list[ConfiguredName] = Field(
        default_factory=list, max_length=MAX_VARIABLES, description="configured secrets"
    )
    files: list[File] = Field(default_factory=list, max_length=MAX_FILES, description=f"at most {MAX_FILES}")
    workspace: WorkspaceRequest | None = Field(None, description="the user's folder to work in")
    timeout_seconds: int | None = Field(None, ge=1, le=LONGEST_TIMEOUT, description="work time")
    max_calls: int | None = Field(None, ge=1, le=MAX_CALLS, description="then it pauses")
    on_interrupt: Literal["fail", "retry", "resume"] | None = Field(None, description="default fail")
    approval_timeout_seconds: int | None = Field(None, ge=1, le=366 * DAY, description="then it means no")
    limits: LowerLimits | None = Field(None, description="lower than the operator's")
    require: Guarantees | None = Field(None, description="else refuse the task")
    allow_hooks: StrictBool = Field(False, description="may write .git/hooks, .envrc and the like")
    mcp_servers: list[Label] = Field(default_factory=list, max_length=20, description="configured ones")
    metadata: Metadata | None = Field(None, description="your own")
    idempotency_key: str | None = Field(None, min_length=1, max_length=MAX_LABEL, description="creates once")

    @model_validator(mode="after")
    def _environment_fits(self) -> Self:
        check_size(self.env, self.secrets)
        return self

    @model_validator(mode="after")
    def _nobody_takes_no_work(self) -> Self:
        if self.agent_id == NOBODY and (field := execution_input(self)):
            raise ValueError(f"{field} {FOR_EXECUTION}")
        return self


class GetTask(Request):
    """A read of one task, at once or when something happens."""

    id: TaskId
    wait_seconds: float = Field(0, ge=0, allow_inf_nan=False, description="up to 45")
    max_chars: int = Field(8000, ge=200, le=MAX_ANSWER, description="of the answer")
    output_cursor: str | None = Field(
        None, min_length=1, max_length=64, description="a nextCursor: the output from there on"
    )
    include: list[Literal["messages", "events", "graph"]] = Field(
        default_factory=list, max_length=MAX_WORDS, description="more parts"
    )
    after_event: int | None = Field(None, ge=0, le=2**53, description="a lastEvent: only what is new")

    @property
    def patience(self) -> float:
        """Seconds to wait, at most MAX_WAIT_SECONDS."""
        return min(self.wait_seconds, MAX_WAIT_SECONDS)

    @property
    def reads_events(self) -> bool:
        """Whether every new event is of interest, not only the end."""
        return self.after_event is not None and "events" in self.include

    @property
    def warnings(self) -> list[str]:
        """Warnings about values that were adjusted."""
        if self.wait_seconds <= MAX_WAIT_SECONDS:
            return []
        return [
            f"waitSeconds: {self.wait_seconds:.15g} is more than {MAX_WAIT_SECONDS}, and hosts give up a call after "
            f"60: it was taken for {MAX_WAIT_SECONDS}"
        ]


class ApproveToolCall(Request):
    """A decision on one waiting call."""

    unstored = frozenset({"outcome", "call"})

    id: TaskId
    call_id: Id = Field(description="of the waiting call")
    outcome: Outcome = Field(description="what the user decided")
    message: str | None = Field(None, min_length=1, max_length=MAX_DESCRIPTION, description="the reason, for the agent")
    call: str | None = Field(None, max_length=MAX_DESCRIPTION, description="as in pendingApprovals")


class ApproveShownCall(ApproveToolCall):
    """A decision that must repeat what the call does, so that the host's prompt shows it to its user."""

    call: str = Field(max_length=MAX_DESCRIPTION, description="as in pendingApprovals")


class SendMessage(Request):
    """The next turn of an ended task, or the lost secrets or further calls of one that waits."""

    unstored = frozenset({"secrets", "secretNames"})

    id: TaskId
    message: Value | None = Field(None, min_length=1, max_length=MAX_MESSAGE, description="or only secrets")
    env: dict[Name, Value | None] = Field(
        default_factory=dict, max_length=MAX_VARIABLES, description="merged by key; null removes one"
    )
    secrets: dict[Name, Value | None] = Field(
        default_factory=dict, max_length=MAX_VARIABLES, description="null removes one"
    )
    secret_names: list[ConfiguredName] = Field(
        default_factory=list, max_length=MAX_VARIABLES, description="configured secrets"
    )
    files: list[File] = Field(default_factory=list, max_length=MAX_FILES, description=f"at most {MAX_FILES}")
    idempotency_key: str | None = Field(None, min_length=1, max_length=MAX_LABEL, description="sent once")

    @property
    def literals(self) -> dict[str, str]:
        """The secrets with a value; null removes one."""
        return {name: value for name, value in self.secrets.items() if value is not None}

    def merged(self, env: dict[str, str]) -> dict[str, str]:
        """Return the task's variables after this message. Raises ValueError: when they are too large."""
        both = env | self.env
        kept = {name: value for name, value in both.items() if value is not None}
        check_size(kept, self.literals)
        return kept


def execution_input(request: CreateTask | SendMessage) -> str | None:
    """Return the first given field that is only for tasks which this server executes; None if there is none."""
    return next((to_camel(field) for field in _EXECUTION_FIELDS if getattr(request, field, None)), None)


class CancelTask(Request):
    """The end of a task that is still open."""

    id: TaskId


class DeleteTask(Request):
    """The removal of a task and all that belongs to it."""

    id: TaskId
    cascade: StrictBool = Field(False, description="and all that depend on it")


class UpdateTask(Request):
    """Changes to a task, and what others report of one that this server does not execute."""

    unlisted = frozenset({"description", "internalStatus", "metadata"})
    unstored = frozenset({"status"})

    id: TaskId
    title: Line | None = Field(None, max_length=MAX_TITLE, description="for lists")
    description: str | None = Field(None, max_length=MAX_DESCRIPTION, description="a note")
    task_list_id: Cleared | None = Field(None, description="any list's name; null: none")
    assigned_agent_id: Cleared | None = Field(None, description="who does it; null: nobody")
    depends_on: list[Id] | None = Field(None, max_length=MAX_DEPENDENCIES, description="all of them")
    progress: float | None = Field(None, ge=0, le=1, description="0 to 1")
    progress_message: Line | None = Field(None, max_length=1000, description="how far it is")
    internal_status: Cleared | None = Field(None, description="in your words")
    metadata: Metadata | None = Field(None, description="replaced whole")
    max_calls: int | None = Field(None, ge=1, le=MAX_CALLS, description="then it pauses")
    status: ReportedWord | None = Field(None, description='only agentId "none"')
    result: str | None = Field(None, min_length=1, max_length=MAX_MESSAGE, description="of a completed one")
    error: str | None = Field(None, min_length=1, max_length=MAX_DESCRIPTION, description="of a failed one")
    blocked_reason: Reason | None = Field(None, description="of a blocked one")

    @model_validator(mode="before")
    @classmethod
    def _null_takes_away(cls, data: Any) -> Any:
        """Read null as an empty text for the two fields that it clears."""
        if isinstance(data, dict):
            return {name: "" if value is None and name in _TAKEN_AWAY else value for name, value in data.items()}
        return data

    @model_validator(mode="after")
    def _says_something_fitting(self) -> Self:
        if self.model_fields_set == {"id"}:
            raise ValueError("there is nothing to change: give at least one field besides id")
        for field, status in _OF_STATUS.items():
            if getattr(self, field) is not None and self.target is not status:
                raise ValueError(f'{to_camel(field)} goes with status "{status}"')
        return self

    @property
    def target(self) -> Status | None:
        """The reported status, synonyms resolved."""
        if self.status is None:
            return None
        meant = statuses(self.status)
        return Status.RUNNING if Status.RUNNING in meant else next(iter(meant))

    @property
    def columns(self) -> dict[str, Any]:
        """The changed columns by their names in the store, which have no `_id`; an empty text becomes None."""
        given = {field: getattr(self, field) for field in self.model_fields_set - _WITH_RULES}
        return {field.removesuffix("_id"): None if value == "" else value for field, value in given.items()}


class GetTaskGraph(Request):
    """A request for the dependency graph of a task list."""

    unlisted = frozenset({"limit", "offset"})

    task_list_id: Label = Field(description="the list's name")
    limit: Annotated[int, AtMost(MAX_GRAPH_PAGE)] = Field(
        GRAPH_PAGE, description=f"default {GRAPH_PAGE}, at most {MAX_GRAPH_PAGE}"
    )
    offset: int = Field(0, ge=0, le=2**53, description="to skip")


class ListAgents(Request):
    """A request for the agents and the sandbox."""


class ReadArtifacts(Request):
    """A request for the files of a task, or a piece of one."""

    id: TaskId
    path: PathText | None = Field(None, description="left out: list them")
    offset: int = Field(0, ge=0, le=2**53, description="in bytes, or files")
    limit: Annotated[int, AtMost(1024**2)] | None = Field(None, description="bytes, or files")


class ListWorktrees(Request):
    """A request for the worktrees."""


class ListGrants(Request):
    """A request for the standing approvals."""


class RevokeGrant(Request):
    """The revocation of a standing approval."""

    id: Id
