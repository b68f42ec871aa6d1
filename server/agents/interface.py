"""The interface between the server and agents: an agent acts only through its turn.

The approval gate before every call is in the server, so it does not depend on the agent. What an agent program does
by itself inside its sandbox can only be recorded.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Protocol

from server.runner.dialogue import ProcessIO
from templates.steps import Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A tool call that an agent proposes. `key` is its own name for it, the same in every run of the turn."""

    key: str
    tool_name: str
    args: Mapping[str, Any]
    description: str
    is_message: bool = False
    """Whether its arguments are part of the message, which is shown as it is and holds no secret values: then single
    lines of multi-line secrets are not masked in them."""

    is_command: bool = False
    """Whether it is executed by `Turn.run`. Commands that a program executes itself run in its own environment."""


class Permission(Enum):
    """The gate's answer to a proposed call."""

    PROCEED = "proceed"
    REFUSED = "refused"
    ALREADY_DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCall:
    """The state of a call of the turn; calls of earlier runs included."""

    key: str
    tool_name: str
    args: Mapping[str, Any]
    status: Literal["pending", "awaiting_approval", "executing", "success", "error", "cancelled"]
    approved: bool
    """Whether a person has approved this very call; it may not have been made yet."""

    output: str
    """Its output, masked and bounded; empty before its end."""

    exit_status: int | None
    """The exit status of a command that has ended."""

    reason: str | None
    """Why it was refused or interrupted."""

    is_hidden: bool
    """Whether it was refused because a part of it would have been hidden from the person who decides."""

    is_cut_off: bool = False
    """Whether the server's end interrupted it; it may have done all its work."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The end of a command: its exit status (128 + N for signal N), its output, masked and bounded, and, in words, the
    limit that ended it."""

    status: int
    output: str
    limit: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand:
    """A command to run in the sandbox. It has the task's variables, with `env` over them."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    inherits: bool = True
    """Whether it has the task's variables, secrets included."""

    attached: int | None = None
    """A file descriptor to pass to it: see `server.runner.policy.ATTACHED`."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a call that is no command."""

    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """One of the server's sub-task tools, for an agent that may create sub-tasks."""

    name: str
    description: str
    schema: Mapping[str, Any]
    reads: bool
    """Whether it changes nothing, and so needs no approval."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a model, in requests and tokens."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class HistoryMessage:
    """One message of the conversation before this turn."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program in the sandbox to talk to. It has the task's workspace, and variables with `env` over them.

    `env` is passed as it is: the caller resolves templates.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    inherits: bool = True
    """Whether it has the task's variables, secrets included, and the network of the agent's settings: yes for a program
    that acts as the agent, no for one that only serves it."""

    readable: tuple[Path, ...] = ()
    """Files and folders it may read, beside those of the agent's settings."""

    hosts: tuple[str, ...] = ()
    """Hosts it may reach (`HostRule.parse`), beside those of the agent's settings."""

    hands_on: bool = False
    """Whether it gets a callback channel, if the task may create sub-tasks and the sandbox supports one."""

    steered_by: tuple[str, ...] = ()
    """Patterns (`fnmatch`) of variables that the task must not set: they could make the program ask less."""

    home: Mapping[str, str] | None = field(default=None, repr=False)
    """Files of a HOME that lasts as long as the task (path in HOME -> text), which the program can read and not write;
    None for a HOME that ends with the program."""


class Turn(Protocol):
    """A turn: one message, and every operation that an agent has for it."""

    @property
    def message(self) -> str:
        """The message."""
        ...

    @property
    def system_prompt(self) -> str | None:
        """The task's system prompt."""
        ...

    @property
    def mcp_servers(self) -> Sequence[str]:
        """The names of its MCP servers: those of the settings for this agent, and the task's own."""
        ...

    @property
    def workspace(self) -> Path:
        """The folder to work in. An adversary controls it: open it only with `server.runner.filesystem.safe_open`."""
        ...

    # State.

    async def history(self) -> list[HistoryMessage]:
        """Return the conversation before this turn, oldest first."""
        ...

    async def recall(self) -> Mapping[str, Any] | None:
        """Return the state last remembered in this turn, by any run; None if there is none."""
        ...

    async def recall_earlier(self) -> Mapping[str, Any] | None:
        """Return the state last remembered in the task's previous turn; None if there is none."""
        ...

    async def remember(self, state: Mapping[str, Any], usage: Usage | None = None) -> None:
        """Store `state` (JSON; masked, 8 Mi characters at most) for a later run, and add `usage`.

        It is durable when this returns. Raises RemitError (LIMIT_EXCEEDED): when it is too long.
        """
        ...

    async def set_process_bound(self, bound: bool) -> None:
        """Record whether the run's work would be lost with its process: if so, an interruption fails the task."""
        ...

    # Answer and thoughts.

    async def say(self, text: str) -> None:
        """Write a piece of the answer to the task's log as it comes; masked, and bounded in all."""
        ...

    async def think(self, description: str, subject: str = "", *, goes_on: bool = False) -> None:
        """Write one thought to the task's log: whole, or a piece that `goes_on` in the next."""
        ...

    # Secrets and calls.

    async def unlock(self) -> None:
        """Load the values of the task's secrets. Call it before templates are resolved or anything is masked.

        Raises RemitError for one that cannot be read, or the exception that ends a run whose secrets are lost.
        """
        ...

    def fill_in(self, text: str) -> str:
        """Return `text` with its templates (`<<mcp.KEY>>`) resolved. The result is secret: never store or show it.

        Raises RemitError (TEMPLATE_ERROR) that names the missing key.
        """
        ...

    async def mask(self, value: Any) -> Any:
        """Return a JSON value with every secret masked: for input from outside that goes to a model."""
        ...

    async def mask_beginning(self, text: str) -> str:
        """Mask a text whose end was cut off; an end that may begin a secret is dropped."""
        ...

    async def mask_within(self, text: str, start: int, stop: int) -> str:
        """Return `text[start:stop]`, masked, including parts of secrets that are cut by its ends."""
        ...

    async def propose(self, proposals: Sequence[Proposal]) -> None:
        """Record calls, in order, before any of them is made. One that is known already stays as it is.

        Raises RemitError (CONFLICT) for a known key with other arguments.
        """
        ...

    def calls(self) -> Mapping[str, KnownCall]:
        """Return all calls of the turn by their keys, in order, as of the latest `propose`, `call` or end of one."""
        ...

    async def is_same(self, key: str, args: Mapping[str, Any]) -> bool:
        """Return whether these unmasked arguments are those of a known call.

        If a secret is masked in the call, only the masked forms are compared; `propose` then compares exactly.
        """
        ...

    def tool_specs(self) -> Sequence[ToolSpec]:
        """Return the sub-task tools; empty if the agent may not create sub-tasks."""
        ...

    async def use(self, key: str, tool: str, args: Mapping[str, Any]) -> ToolResult:
        """Execute a call that may proceed with one of these tools, and record how it ended.

        Raises Awaiting: while it waits for a sub-task; the next run does not wait again.
        """
        ...

    async def record_missing_tool(self, tool: str) -> None:
        """Record that the agent called a tool that it does not have."""
        ...

    async def call(self, key: str, *, reads: bool = False) -> Permission:
        """Pass the approval gate: return once the call may proceed, is refused, or was done by an earlier run.

        A call that only `reads` what the task itself has made needs no approval. A call in which a secret is masked is
        refused if it would need approval, because its arguments are not stored while it waits.
        Raises Suspended: when it must wait for approval; OutOfCalls: when the task may make no more calls.
        """
        ...

    async def wait(self, key: str) -> Permission:
        """Pass the same gate for an agent whose process must stay: wait here until the call is decided.

        Meanwhile the task is `awaiting_approval`, its clock is stopped and its slot is released. A call is refused if
        secrets are masked in it so that the decision would be about something hidden.
        """
        ...

    async def record_unasked(self, key: str) -> Permission:
        """Record that the agent makes this call without having asked. Raises OutOfCalls: at the task's limit."""
        ...

    async def amend(self, proposal: Proposal) -> None:
        """Change the arguments of a proposed call that has not begun; the decision is then about these.

        Raises RemitError (CONFLICT): when it has begun.
        """
        ...

    async def renew(self, key: str) -> None:
        """Repeat an interrupted call under the same key: whether it may proceed is decided again."""
        ...

    def secret_in(self, text: str) -> Steps[str | None]:
        """Return, in steps, the name of a secret in `text`, in any form and length; "" for one without a name."""
        ...

    async def warn(self, message: str, key: str) -> None:
        """Write a warning about a call to the task's log, masked."""
        ...

    async def run(self, key: str, ran: RunCommand) -> CommandResult:
        """Execute a call that may proceed as a command in the sandbox, and record how it ended."""
        ...

    async def perform(self, key: str, action: Callable[[], Awaitable[ToolResult]]) -> ToolResult:
        """Execute a call that may proceed with `action`, record its end, and return the result, masked and bounded.

        A RemitError from `action` becomes a failed result.
        """
        ...

    async def end(self, key: str, answer: ToolResult) -> ToolResult:
        """Record the end of a call that the agent executed itself. Returns the result as kept, masked and bounded.

        A call that was still waiting counts as withdrawn: it is cancelled, and its waiting ends.
        """
        ...

    def talk(self, program: Program) -> AbstractAsyncContextManager[ProcessIO]:
        """Start a program in the sandbox and yield its input and output; all its processes end with the block.

        Raises RemitError: SANDBOX_UNAVAILABLE, or VALIDATION_ERROR for a path or host that cannot be given.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The readiness of an agent on this machine, and notes about it."""

    needs: str | None = None
    """What is missing and what to do about it; None if it is ready."""

    version: str | None = None
    notes: Sequence[str] = ()
    """How reliable its approval requests are, and other notes, a sentence each."""


class Agent(Protocol):
    """An agent: one way of doing tasks."""

    @property
    def id(self) -> str:
        """The name by which tasks choose it."""
        ...

    @property
    def description(self) -> str:
        """A sentence about what it does and needs."""
        ...

    @property
    def speaks(self) -> bool:
        """Whether it has a model: then its answer is what it says, and it can use MCP servers.

        Otherwise its answer is the output of its commands.
        """
        ...

    async def readiness(self, variables: Collection[str] = ()) -> Readiness:
        """Return whether a task with variables and secrets of these names can use it here and now.

        It is quick and sends nothing over the network.
        """
        ...

    def check(self, message: str) -> Sequence[str]:
        """Check a message. Returns warnings, a sentence each.

        Raises RemitError (VALIDATION_ERROR): when it cannot be worked on; NeedsModel: when an agent with a model could.
        """
        ...

    async def work(self, turn: Turn) -> None:
        """Do the turn; returning completes it.

        Raises RemitError for a failure, Stopped for a refused call, and what the turn raises (Suspended, Awaiting …).
        After a suspension it is called again from the start: the gate answers ALREADY_DONE for calls that are done.
        """
        ...
