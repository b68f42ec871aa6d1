"""What goes into the store and what comes out of it, as frozen records.

Times are integers: microseconds since the epoch, UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from storage.records.calls import Call
from storage.records.graphs import Related
from storage.records.states import Status
from storage.records.workspaces import Workspace

AGENT = "agent"
"""The source of a task that an agent made, in a task of its own."""


SecretSource = Literal["literal", "named"]
OnFailure = Literal["fail", "continue"]

NOBODY = "none"
"""The agent of a task that no agent of ours executes: a record that others claim and report on."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. Every operation takes one, and sees nothing but what is theirs."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class NestingLimits:
    """How far tasks may be handed on: levels beneath the first task, and tasks beneath it in all."""

    depth: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task as it was asked for, checked, with everything decided but its place in the queue."""

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
    demands: Mapping[str, Any] | None
    sandbox: str | None
    timeout_seconds: int
    idempotency_key: str | None
    request_digest: str
    conversation: str
    session: str
    session_expires_at: int
    nesting: NestingLimits
    joins: bool = False
    """Whether the conversation is there already."""

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
    """The files that come with it: what each is known again by, by their paths in uploads/."""


@dataclass(frozen=True, slots=True)
class SentKey:
    """The idempotency key of a message, and the digest that the same message has again."""

    key: str
    request_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTurn:
    """A follow-up message, with all of the variables the task has from now on."""

    message: str
    env: Mapping[str, str] | None
    secrets: Mapping[str, SecretSource]
    session: str
    session_expires_at: int
    files: Mapping[str, str] = field(default_factory=dict)
    """As of a new task."""

    sent: SentKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What is to be changed about a task: columns by name, and all that follows rules of its own. None: as it is."""

    columns: Mapping[str, Any]
    depends_on: Sequence[str] | None = None
    max_calls: int | None = None
    status: Status | None = None
    blocked_reason: str | None = None
    result: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CreationResult:
    """The answer to a creation; `repeated` when the idempotency key had created it before."""

    id: str
    status: Status
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One row of `tasks`."""

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
    demands: dict[str, Any] | None
    sandbox: str | None
    timeout_seconds: int
    cancel_requested: bool
    blocked_reason: str | None
    blocked_at: int | None
    error_code: str | None
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
    """Where it stands, or stood last, in the queue: see `storage.sqlite.transitions.status.next_place`."""

    created_at: int
    started_at: int | None
    completed_at: int | None
    updated_at: int
    last_activity_at: int
    workspace_removed_at: int | None
    kept_output: int
    """Characters of its calls' output, over all turns."""

    files: dict[str, str] | None
    """The files that have come with its messages: what each is known again by, by their paths in uploads/."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A task as a list shows it: long texts are there with their beginnings alone."""

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
class Event:
    """One line of a task's log."""

    number: int
    at: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A line to be appended to a task's log."""

    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; the agent's answer to a turn, or what the turn asked."""

    task_id: str
    turn: int
    role: Literal["user", "assistant"]
    content: str
    at: int


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One message and what came of it."""

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
    """Why there was more than one attempt, in words: what has cut off the last."""


@dataclass(frozen=True, slots=True)
class TurnUsage:
    """What the model of a turn's agent has used."""

    requests: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Run:
    """A claimed stretch of work. Every write made for it carries the fence, and fails once it is stale."""

    seq: int
    task_id: str
    turn: int
    fence: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A run with everything its agent needs to know."""

    run: Run
    task: Task
    turn: TurnRecord
    secrets: dict[str, SecretSource]
    workspace: Workspace | None = None
    shared_from: Sequence[str] = ()
    """The tasks that share their folder with it."""


@dataclass(frozen=True, slots=True)
class CancellationResult:
    """The status of a task that was asked to end, and the tasks that have to be stopped before they have ended."""

    status: Status
    stopping: list[str]


@dataclass(frozen=True, slots=True)
class Origin:
    """The task whose end made others end."""

    id: str
    ended: Status


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a turn ended: one of the ended states, with the error of a failed one."""

    status: Status
    error_code: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class NewParts:
    """What of a task's turn came after an event: so many characters of its content and so many thoughts, both from the
    end, and these calls."""

    characters: int
    thoughts: int
    calls: frozenset[str]


@dataclass(frozen=True, slots=True)
class Progress:
    """A task at work, in short: its calls that have ended, all of them, and the last of what has come out."""

    status: Status
    started_at: int | None
    calls_ended: int
    calls: int
    said: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A task with all that belongs to it, read at one instant; of long lists a part, and how many there are."""

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
    """What was noted of the turn's calls, or what is new of it, each once."""

    depends_on: list[str] = field(default_factory=list)
    dependency_count: int = 0
    blocked_by: list[str] = field(default_factory=list)
    approvals_beneath: list[str] = field(default_factory=list)
    """Sub-tasks, at any depth, that wait for approval."""

    related: Related | None = None
    workspace: Workspace | None = None
    new_parts: NewParts | None = None
    """What came after the event that was asked for, if one was."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A run that a dead server left open, with the processes it had started and the folder it works in."""

    run: Run
    processes: list[dict[str, Any]]
    workspace: Workspace | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """What the start of a server did about the work of a dead one."""

    interrupted: list[str]
    resumed: list[str]
    blocked: list[str]
