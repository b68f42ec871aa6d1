"""The messages of the Agent Client Protocol, version 1, as far as they are used here.

Lenient: what is not known is ignored, and what may be left out may also be null. Of the faults of a list, which may be
a hundred thousand, the first is told.
"""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from server.agents.acp.connection import ProtocolFault

PROTOCOL = 1

MAX_TOKENS = 2**40
"""Tokens of one prompt, of each kind: far above what is used, so that no sum of them is too large for the database."""

AUTH_REQUIRED = -32000
"""The code of an error that says: sign in first."""

Identifier = Annotated[str, Field(min_length=1, max_length=256)]
"""Names that the agent gives to sessions and calls; the longest seen have about fifty characters."""

Name = Annotated[str, Field(max_length=256)]
"""The name of an option, or of a kind of options."""


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Implementation(_Lenient):
    """The agent's name and version."""

    name: str = ""
    version: str = ""


class McpCapabilities(_Lenient):
    """The transports of MCP servers that it can use, beside stdio."""

    http: bool = False


class AgentCapabilities(_Lenient):
    """The capabilities of the agent."""

    load_session: bool | None = None
    mcp_capabilities: McpCapabilities | None = None
    session_capabilities: dict[str, Any] | None = None

    @property
    def can_resume(self) -> bool:
        """Whether it can resume a session without replaying it."""
        return (self.session_capabilities or {}).get("resume") is not None

    @property
    def can_close(self) -> bool:
        """Whether it accepts that a session is closed."""
        return (self.session_capabilities or {}).get("close") is not None

    @property
    def takes_remote_servers(self) -> bool:
        """Whether it speaks to MCP servers over HTTP."""
        return self.mcp_capabilities is not None and self.mcp_capabilities.http


class AuthMethod(_Lenient):
    """One way to sign in."""

    id: str


class Initialized(_Lenient):
    """The answer to initialize."""

    protocol_version: int
    agent_capabilities: AgentCapabilities | None = None
    agent_info: Implementation | None = None
    auth_methods: list[AuthMethod] | None = Field(None, fail_fast=True)


class Mode(_Lenient):
    """A way of working that a session can be put in."""

    id: str


class Modes(_Lenient):
    """The ways of working of a session."""

    current_mode_id: str
    available_modes: list[Mode] = Field(fail_fast=True)


class SessionOpened(_Lenient):
    """The answer to session/new, load or resume; the latter two repeat no id."""

    session_id: Identifier | None = None
    modes: Modes | None = None


Count = Annotated[int, Field(ge=0, le=MAX_TOKENS)]


class Tokens(_Lenient):
    """The tokens that a turn has used."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_read_tokens: Count | None = None
    cached_write_tokens: Count | None = None


class Prompted(_Lenient):
    """The answer to session/prompt."""

    stop_reason: str
    usage: Tokens | None = None


class Block(_Lenient):
    """A piece of content; only text is shown as it is."""

    type: str
    text: str | None = None
    uri: str | None = None

    @property
    def shown(self) -> str:
        """The block as text."""
        if self.type == "text":
            return self.text or ""
        return f"[{self.type}{f': {self.uri}' if self.uri else ''}]"


class ContentChunk(_Lenient):
    """A piece of a message or a thought."""

    content: Block
    message_id: str | None = None


class Content(_Lenient):
    """A result of a tool call: content, a diff or a terminal."""

    type: str
    content: Block | None = None
    path: str | None = None
    old_text: str | None = None
    new_text: str | None = None

    @property
    def shown(self) -> str:
        """The result as text."""
        if self.type == "diff":
            return f"{self.path}\n{_marked('-', self.old_text)}{_marked('+', self.new_text)}"
        return self.content.shown if self.content else ""


def _marked(mark: str, text: str | None) -> str:
    """Return a text, which may have millions of lines, with a mark before each line."""
    return mark + text.removesuffix("\n").replace("\n", f"\n{mark}") + "\n" if text else ""


class ToolCallUpdate(_Lenient):
    """A change to a tool call; fields that are left out stay as they were."""

    tool_call_id: Identifier
    name: str | None = None
    title: str | None = None
    kind: Name | None = None
    status: Name | None = None
    content: list[Content] | None = Field(None, fail_fast=True)
    locations: list[dict[str, Any]] | None = Field(None, fail_fast=True)
    raw_input: Any = None
    raw_output: Any = None
    meta: dict[str, Any] | None = Field(None, alias="_meta")


class Option(_Lenient):
    """One possible answer to a permission request."""

    option_id: Name
    kind: Name


class PermissionRequest(_Lenient):
    """The params of session/request_permission."""

    session_id: str
    tool_call: ToolCallUpdate
    options: list[Option] = Field(max_length=100, fail_fast=True)


class PlanEntry(_Lenient):
    """One step of a plan."""

    content: str
    status: str = "pending"


class Plan(_Lenient):
    """All the steps of a plan."""

    entries: list[PlanEntry] = Field(fail_fast=True)


M = TypeVar("M", bound=BaseModel)


def read(model: type[M], value: Any) -> M:
    """Return `value` as a message. Raises Fault that names what is wrong, without the values."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        (first, *_) = error.errors(include_input=False, include_url=False, include_context=False)
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise ProtocolFault(f"{model.__name__}: {where}: {first['msg']}") from None
