"""Records of tasks, turns, runs and messages.

Times are integers: microseconds since the epoch, UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from server.errors import Code
from storage.records.calls import Call
from storage.records.demands import Demands
from storage.records.events import Event
from storage.records.graphs import Related
from storage.records.states import Status
from storage.records.workspaces import Workspace

AGENT = "agent"
"""The `source` of a task that an agent created from within a task of its own."""


SecretSource = Literal["literal", "named"]
OnFailure = Literal["fail", "continue"]

NOBODY = "none"
"""The agent id of a record: a task that this server does not execute, which others claim and report on."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The identity of a caller. Every operation takes one, and sees that principal's tasks alone."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class NestingLimits:
    """Limits on sub-tasks: levels beneath the root task, and tasks beneath it in all."""

    depth: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A checked request for a task, complete but for its place in the queue."""

    id: str
    agent: str
    message: str
    title: str | None
    system_prompt: str | None
    show_in_history: bool
    auto_execute: bool
    env: Mapping[str, str] | None
    secrets: Mapping[str, SecretSource]
    metadata: Mapping[str, Any] | None
    demands: Demands
    sandbox: str | None
    timeout_seconds: int
    idempotency_key: str | None
    request_digest: str
    conversation: str
    session: str
    session_expires_at: int
    nesting: NestingLimits
    joins: bool = False
    """Whether the conversation exists already."""

    description: str | None = None
    task_list: str | None = None
    depends_on: Sequence[str] = ()
    on_dependency_failure: OnFailure = "fail"
    parent: str | None = None
    triggering_agent: str | None = None
    assigned_agent: str | None = None
    max_calls: int | None = None
    source: str | None = None
    workspace: Workspace | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """The uploaded files: a digest of each, by its path in uploads/."""


@dataclass(frozen=True, slots=True)
class SentKey:
    """The idempotency key of a message, and the digest of the request."""

    key: str
    request_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTurn:
    """A follow-up message, with all variables that the task has from now on."""

    message: str
    env: Mapping[str, str] | None
    secrets: Mapping[str, SecretSource]
    session: str
    session_expires_at: int
    files: Mapping[str, str] = field(default_factory=dict)
    """As in `NewTask`."""

    sent: SentKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A change to a task: columns by name, and fields with rules of their own. None leaves a field as it is."""

    columns: Mapping[str, Any]
    depends_on: Sequence[str] | None = None
    max_calls: int | None = None
    status: Status | None = None
    blocked_reason: str | None = None
    result: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CreationResult:
    """The result of a creation; `repeated` if the idempotency key had created the task before."""

    id: str
    status: Status
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One row of the table `tasks`."""

    seq: int
    id: str
    principal: str
    username: str
    conversation: str
    session: str
    agent: str
    status: Status
    title: str | None
    message: str
    system_prompt: str | None
    show_in_history: bool
    auto_execute: bool
    env: dict[str, str] | None
    metadata: dict[str, Any] | None
    demands: Demands
    sandbox: str | None
    timeout_seconds: int
    cancel_requested: bool
    blocked_reason: str | None
    blocked_at: int | None
    error_code: Code | None
    error: str | None
    turn: int
    message_count: int
    last_event: int
    description: str | None
    task_list: str | None
    assigned_agent: str | None
    triggering_agent: str | None
    internal_status: str | None
    source: str | None
    parent: str | None
    depth: int
    progress: float | None
    progress_message: str | None
    on_dependency_failure: OnFailure
    open_dependencies: int
    max_calls: int | None
    queue_place: int
    """Its latest place in the queue: see `storage.sqlite.transitions.status.next_place`."""

    created_at: int
    started_at: int | None
    completed_at: int | None
    updated_at: int
    last_activity_at: int
    workspace_removed_at: int | None
    kept_output: int
    """Characters kept of its calls' output, over all turns."""

    files: dict[str, str] | None
    """The files uploaded with its messages: a digest of each, by its path in uploads/."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A task as a list shows it: long texts are cut to their beginning."""

    seq: int
    id: str
    username: str
    conversation: str
    agent: str
    status: Status
    title: str | None
    message: str
    description: str | None
    show_in_history: bool
    auto_execute: bool
    task_list: str | None
    assigned_agent: str | None
    triggering_agent: str | None
    internal_status: str | None
    source: str | None
    parent: str | None
    progress: float | None
    open_dependencies: int
    blocked_reason: str | None
    error: str | None
    result: str | None
    message_count: int
    created_at: int
    started_at: int | None
    completed_at: int | None
    updated_at: int
    last_activity_at: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation: a turn's request (`user`) or its answer (`assistant`)."""

    task_id: str
    turn: int
    role: Literal["user", "assistant"]
    content: str
    at: int


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One turn of a task: a message and its results."""

    number: int
    message: str
    content: str | None
    content_at: int | None
    thoughts: list[dict[str, str]]
    status: Status | None
    ran_us: int
    requests: int
    input_tokens: int
    output_tokens: int
    created_at: int
    ended_at: int | None
    attempt: int = 1
    attempt_reason: str | None = None
    """Why there was more than one attempt: what interrupted the previous one, in words."""


@dataclass(frozen=True, slots=True)
class TurnUsage:
    """Model usage of a turn: requests and tokens."""

    requests: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Run:
    """One stretch of work on a task. Every write made for it carries the fence, and fails once the fence is stale."""

    seq: int
    task_id: str
    turn: int
    fence: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed run with everything its agent needs to know."""

    run: Run
    task: Task
    turn: TurnRecord
    secrets: dict[str, SecretSource]
    workspace: Workspace | None = None
    shared_from: Sequence[str] = ()
    """Ids of the tasks that share their folder with this one."""


@dataclass(frozen=True, slots=True)
class CancellationResult:
    """The status of a cancelled task, and the ids of running tasks that must be stopped before it has ended."""

    status: Status
    stopping: list[str]


@dataclass(frozen=True, slots=True)
class Origin:
    """The task whose end caused the end of others."""

    id: str
    ended: Status


@dataclass(frozen=True, slots=True)
class NewParts:
    """The parts of a turn that came after an event.

    `characters` of its content and `thoughts` are counted from the end; `calls` are ids.
    """

    characters: int
    thoughts: int
    calls: frozenset[str]


@dataclass(frozen=True, slots=True)
class Progress:
    """A short report on a running task: ended calls, all calls, and the latest output (`said`)."""

    status: Status
    started_at: int | None
    calls_ended: int
    calls: int
    said: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A task with its related data, read in one transaction; long lists are cut, with counts of what is left out."""

    task: Task
    turn: TurnRecord
    content: str
    content_at: int | None
    thoughts: list[dict[str, str]]
    calls: list[Call]
    waiting: int
    secrets: dict[str, SecretSource]
    events: list[Event] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    omitted_messages: int = 0
    warnings: list[str] = field(default_factory=list)
    """Warnings about the turn's calls, each once; only new ones if an event was given."""

    depends_on: list[str] = field(default_factory=list)
    dependency_count: int = 0
    blocked_by: list[str] = field(default_factory=list)
    approvals_beneath: list[str] = field(default_factory=list)
    """Ids of sub-tasks, at any depth, that wait for approval."""

    related: Related | None = None
    workspace: Workspace | None = None
    new_parts: NewParts | None = None
    """What came after the event that was asked for, if one was."""
