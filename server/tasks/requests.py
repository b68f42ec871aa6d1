"""What a user can ask for, checked: the same models for every face.

Optional fields take null as if they were left out, because models that call tools fill them so.
"""

import base64
import binascii
import json
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from storage.states import Status, statuses

MAX_MESSAGE = 100_000
"""Characters in one message."""

MAX_ENVIRONMENT_BYTES = 64 * 1024
"""Names and values of env and secrets together, in UTF-8."""

MAX_METADATA = 16_384
"""Characters of metadata as JSON: it comes back with every look at the task."""

MAX_WAIT_SECONDS = 45
"""Hosts cut a tool call off after 60 s."""

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain NUL")
    return value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=255)]
Value = Annotated[str, AfterValidator(_no_nul)]
Id = Annotated[str, Field(min_length=1, max_length=64)]
StatusWord = Literal[
    "pending",
    "blocked",
    "running",
    "awaiting_approval",
    "paused",
    "completed",
    "failed",
    "cancelled",
    "in_progress",
    "executing",
    "queued",
    "stopped",
    "error",
]


class Request(BaseModel):
    """The base of all requests: camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if value is not None}
        return data


class File(Request):
    """A file for the task's uploads/ folder, by its content or by where it lies."""

    path: str = Field(description="name beneath uploads/")
    content: str | None = None
    content_base64: str | None = None
    source: str | None = Field(None, description="a file beneath the client's folder")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(given is not None for given in (self.content, self.content_base64, self.source)) != 1:
            raise ValueError("give exactly one of content, contentBase64 and source")
        try:
            self.inline()
        except binascii.Error:
            raise ValueError("contentBase64 is not base64") from None
        return self

    def inline(self) -> bytes | None:
        """The content, where it was given inline."""
        if self.content_base64 is not None:
            return base64.b64decode(self.content_base64, validate=True)
        return None if self.content is None else self.content.encode()


class LowerLimits(Request):
    """Limits for one task, lower than the operator's."""

    memory_mb: int | None = Field(None, ge=16)
    processes: int | None = Field(None, ge=1)
    open_files: int | None = Field(None, ge=16)
    file_mb: int | None = Field(None, ge=1)
    tmp_mb: int | None = Field(None, ge=1)
    workspace_mb: int | None = Field(None, ge=1)
    cpu_seconds: int | None = Field(None, ge=1)


class Guarantees(Request):
    """What the sandbox must hold, or the task is refused."""

    tier: Literal["namespaces"] | None = None
    network: Literal["none"] | None = None


class CreateTask(Request):
    """A new task."""

    message: str = Field(min_length=1, max_length=MAX_MESSAGE, description="what to do")
    title: str | None = Field(None, max_length=500)
    system_prompt: str | None = Field(None, max_length=MAX_MESSAGE)
    agent_id: str = Field("shell", min_length=1, max_length=64, description="see list_agents")
    auto_execute: StrictBool = Field(True, description="false: each tool call waits for approve_tool_call")
    show_in_history: StrictBool = True
    env: dict[Name, Value] = Field(default_factory=dict, description="plain variables, stored and shown")
    secrets: dict[Name, Value] = Field(default_factory=dict, description="secret variables, never stored or shown")
    secret_names: list[Name] = Field(default_factory=list, description="secrets the operator configured")
    files: list[File] = Field(default_factory=list, max_length=20, description="for the uploads/ folder")
    timeout_seconds: int | None = Field(None, ge=1, le=7 * 24 * 3600, description="work time, without waits")
    limits: LowerLimits | None = Field(None, description="lower than the operator's")
    require: Guarantees | None = Field(None, description="refuse the task unless its sandbox holds this")
    allow_hooks: StrictBool = Field(
        False, description="may write what other tools execute: .git/hooks, .envrc, .vscode …"
    )
    metadata: dict[str, Any] | None = None
    idempotency_key: str | None = Field(None, min_length=1, max_length=255, description="the same key creates once")

    @field_validator("metadata")
    @classmethod
    def _metadata_fits(cls, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        if len(json.dumps(metadata, allow_nan=False)) > MAX_METADATA:
            raise ValueError(f"is longer than {MAX_METADATA} characters of JSON")
        return metadata

    @model_validator(mode="after")
    def _environment_fits(self) -> Self:
        check_size(self.env, self.secrets)
        return self


class ListTasks(Request):
    """A page of tasks, most recently active first."""

    limit: int = Field(50, ge=1, le=100)
    offset: int = Field(0, ge=0, le=2**53)
    status: Annotated[list[StatusWord], BeforeValidator(_as_list)] = Field([], description="one or several")

    @property
    def statuses(self) -> frozenset[Status]:
        """The states asked for, synonyms resolved; none means all."""
        return frozenset().union(*map(statuses, self.status))


class GetTask(Request):
    """One task, at once or when something happens."""

    id: Id
    wait_seconds: float = Field(0, ge=0, le=MAX_WAIT_SECONDS, description="wait for a change")
    max_chars: int = Field(20_000, ge=200, le=1_000_000, description="bounds long text")
    include: list[Literal["messages", "events"]] = Field(default_factory=list)
    after_event: int | None = Field(
        None, ge=0, le=2**53, description="only later events; a wait is for the first of them"
    )


class ApproveToolCall(Request):
    """A yes or no to one waiting call."""

    id: Id
    call_id: Id
    outcome: Literal["proceed_once", "proceed_always", "cancel"]
    message: str | None = Field(None, max_length=10_000, description="the reason, for the agent")


class SendMessage(Request):
    """The next turn of an ended task, or what a blocked one waits for."""

    id: Id
    message: str | None = Field(None, min_length=1, max_length=MAX_MESSAGE, description="left out: only secrets")
    env: dict[Name, Value | None] = Field(default_factory=dict, description="merged by key; null removes one")
    secrets: dict[Name, Value | None] = Field(default_factory=dict, description="null: no longer needed")
    secret_names: list[Name] = Field(default_factory=list)
    files: list[File] = Field(default_factory=list, max_length=20)

    @property
    def literals(self) -> dict[str, str]:
        """The secrets that were sent with a value."""
        return {name: value for name, value in self.secrets.items() if value is not None}

    def merged(self, env: dict[str, str]) -> dict[str, str]:
        """The task's variables after this message. Raises ValueError when they and the secrets do not fit."""
        both = env | self.env
        kept = {name: value for name, value in both.items() if value is not None}
        check_size(kept, self.literals)
        return kept


class CancelTask(Request):
    """The end of a task that is still open."""

    id: Id


class DeleteTask(Request):
    """The removal of a task and all that belongs to it."""

    id: Id


class ListAgents(Request):
    """Who can be asked."""


class ListGrants(Request):
    """The grants in force."""


class RevokeGrant(Request):
    """The end of a grant."""

    id: Id


def check_size(*variables: dict[str, str]) -> None:
    """Raise ValueError unless env and secrets together are small enough."""
    size = sum(len(name.encode()) + len(value.encode()) for each in variables for name, value in each.items())
    if size > MAX_ENVIRONMENT_BYTES:
        raise ValueError(f"env and secrets hold {size} bytes together, at most {MAX_ENVIRONMENT_BYTES} are allowed")
