"""What an agent is, and the one way it acts: through its turn.

The gate before every call is the server's, so it does not rest on an agent's good manners; what an agent program does
by itself, in its sandbox, can only be told of.
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
    """A tool call an agent wants to make. `key` is its own name for it, the same in every run of the turn."""

    key: str
    tool_name: str
    args: Mapping[str, Any]
    description: str
    is_message: bool = False
    """Whether its arguments stand in the message, which is shown as it is, and hold no secret besides: then no single
    line of a secret is masked in them either."""

    is_command: bool = False
    """Whether it is made by `Turn.run`: what else a program executes, it does in surroundings of its own."""


class Permission(Enum):
    """What has become of a proposed call."""

    PROCEED = "proceed"
    REFUSED = "refused"
    ALREADY_DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCall:
    """A call of the turn as it stands, those of earlier runs included."""

    key: str
    tool_name: str
    args: Mapping[str, Any]
    status: Literal["pending", "awaiting_approval", "executing", "success", "error", "cancelled"]
    approved: bool
    """Whether somebody has said yes to this very call; it may not have been made yet."""

    output: str
    """What came out of it, masked and bounded; empty before its end."""

    exit_status: int | None
    """Of a command that has ended."""

    reason: str | None
    """Why it was refused or cut off, in the words of whoever decided."""

    is_hidden: bool
    """Whether it was refused since a part of it would have been hidden from whoever decides."""

    is_cut_off: bool = False
    """Whether it was ended in the middle, by the end of the server: it may have done all that it was to do."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended: its exit status (128 + N for signal N), its output, masked and bounded, and the limit that
    ended it, in words for a person."""

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
    """A descriptor that it is to have, as `server.runner.policy.ATTACHED`."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call that is no command."""

    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool of this server's own, for an agent that may hand on sub-tasks."""

    name: str
    description: str
    schema: Mapping[str, Any]
    reads: bool
    """Whether it changes nothing: then nobody is asked."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model has used, in requests and tokens."""

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
    """A program in the sandbox that is talked to. It has the task's workspace, and variables with `env` over them.

    `env` is given as it is to be: templates are filled in by whoever makes this.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    inherits: bool = True
    """Whether it has the task's variables, secrets included, and the network of the agent's settings: what acts for
    the agent does, what merely serves it has its own alone."""

    readable: tuple[Path, ...] = ()
    """Further files and folders it may read, beside those of the agent's settings."""

    hosts: tuple[str, ...] = ()
    """Hosts it may reach, in the words of `HostRule.parse`, beside those of the agent's settings."""

    hands_on: bool = False
    """Whether it gets a callback channel, if the task may hand on sub-tasks and the sandbox can hold one."""

    steered_by: tuple[str, ...] = ()
    """What the task's variables must not be called, in the words of `fnmatch`: they could make it ask less."""

    home: Mapping[str, str] | None = field(default=None, repr=False)
    """A HOME that lasts as long as the task, with these files in it (path beneath HOME -> text), which the program
    can read and not write; None for one that ends with the program."""


class Turn(Protocol):
    """One message and everything an agent may do about it."""

    @property
    def message(self) -> str:
        """What was asked for."""
        ...

    @property
    def system_prompt(self) -> str | None:
        """What the one who asks wants the agent to go by."""
        ...

    @property
    def mcp_servers(self) -> Sequence[str]:
        """The names of the MCP servers that are at hand: the settings' for this agent, and the task's own."""
        ...

    @property
    def workspace(self) -> Path:
        """The folder to work in. Only `server.runner.filesystem.safe_open` may reach into it: it is an adversary's."""
        ...

    # What was, and what is to be remembered.

    async def history(self) -> list[HistoryMessage]:
        """The conversation before this turn, oldest first."""
        ...

    async def recall(self) -> Mapping[str, Any] | None:
        """What `remember` was given last in this turn, by whichever run."""
        ...

    async def recall_earlier(self) -> Mapping[str, Any] | None:
        """What `remember` was given last in the task's turn before this one."""
        ...

    async def remember(self, state: Mapping[str, Any], usage: Usage | None = None) -> None:
        """Keep `state` (JSON; masked, 8 MiB at most) for a later run, and count `usage`; durable when this returns.

        Raises RemitError (LIMIT_EXCEEDED) where it is too long.
        """
        ...

    async def set_process_bound(self, bound: bool) -> None:
        """Say whether the work of this run would be lost with its process: then a cut ends the task as INTERRUPTED."""
        ...

    # What is said and thought.

    async def say(self, text: str) -> None:
        """Show a piece of the answer as it comes; masked, and bounded in all."""
        ...

    async def think(self, description: str, subject: str = "", *, goes_on: bool = False) -> None:
        """Show one thought: whole, or a piece that `goes_on` in the next."""
        ...

    # What is done.

    async def unlock(self) -> None:
        """Have the values of the secrets at hand: before anything is filled in or masked.

        Raises whatever ends a run whose secrets are gone, or RemitError for one that cannot be read.
        """
        ...

    def fill_in(self, text: str) -> str:
        """`text` with its templates (`<<mcp.KEY>>`) filled in: secret, to be stored and shown nowhere.

        Raises RemitError (TEMPLATE_ERROR) that names the missing key.
        """
        ...

    async def mask(self, value: Any) -> Any:
        """A value of JSON with every secret in its texts masked: for what comes from outside and goes to a model."""
        ...

    async def mask_beginning(self, text: str) -> str:
        """A text whose end was cut off, masked, without what may be the beginning of a secret."""
        ...

    async def mask_within(self, text: str, start: int, stop: int) -> str:
        """`text` from `start` to `stop`, masked, also what is left there of a secret that is cut by these."""
        ...

    async def propose(self, proposals: Sequence[Proposal]) -> None:
        """Announce calls, in order, before any of them is made. One that is known already stays as it is.

        Raises RemitError (CONFLICT) for a known key with other arguments.
        """
        ...

    def calls(self) -> Mapping[str, KnownCall]:
        """All calls of the turn by their keys, in order, as of the latest `propose`, `call` or end of one."""
        ...

    async def is_same(self, key: str, args: Mapping[str, Any]) -> bool:
        """Whether these, nothing masked in them, are the arguments of a known call.

        Where a secret is masked in that, it may be another by now: `propose` has it asked about anew then.
        """
        ...

    def tool_specs(self) -> Sequence[ToolSpec]:
        """This server's own tools, where the agent may hand on sub-tasks; else none."""
        ...

    async def use(self, key: str, tool: str, args: Mapping[str, Any]) -> ToolResult:
        """Execute a call that may proceed by one of these tools, and note how it ended.

        Raises Awaiting where it waits for a sub-task; in the next run it does so no more.
        """
        ...

    async def record_missing_tool(self, tool: str) -> None:
        """Note that the agent has asked for a tool that it does not have."""
        ...

    async def call(self, key: str, *, reads: bool = False) -> Permission:
        """Return once the proposed call may proceed, is refused, or was done by an earlier run.

        One that only `reads` what the task itself has made needs nobody's approval. One in which a secret is masked is
        refused where it would need one: its arguments are not kept meanwhile.
        Raises Suspended when it has to wait for approval, OutOfCalls when the task may make no more.
        """
        ...

    async def wait(self, key: str) -> Permission:
        """Like `call`, for an agent whose process must stay: where the call waits for approval, so does this.

        Meanwhile the task is `awaiting_approval`, its clock stands still, and its place is free for others. A call
        is refused where secrets are masked in it, and the decision would be about something hidden.
        """
        ...

    async def record_unasked(self, key: str) -> Permission:
        """Note that the agent makes this call without having asked. Raises OutOfCalls when it may make no more."""
        ...

    async def amend(self, proposal: Proposal) -> None:
        """Give a call that was proposed and has not begun other arguments, which are what is decided about then.

        Raises RemitError (CONFLICT) for one that has begun.
        """
        ...

    async def renew(self, key: str) -> None:
        """Have a call that was cut off be made once more, under the same key: whether it may is decided anew."""
        ...

    def secret_in(self, text: str) -> Steps[str | None]:
        """Find, in steps, the name of a secret in `text`, in any form and however short; "" for one without a name."""
        ...

    async def warn(self, message: str, key: str) -> None:
        """Note in the task's log what is to be known of a call, masked."""
        ...

    async def run(self, key: str, ran: RunCommand) -> CommandResult:
        """Execute a call that may proceed, as a command in the sandbox, and note how it ended."""
        ...

    async def perform(self, key: str, action: Callable[[], Awaitable[ToolResult]]) -> ToolResult:
        """Execute a call that may proceed by `action`, note how it ended, and return that, masked and bounded.

        A RemitError out of `action` is an answer that failed, too.
        """
        ...

    async def end(self, key: str, answer: ToolResult) -> ToolResult:
        """Note how a call ended that the agent has executed itself; its answer as it is kept, masked and bounded.

        One that was not to proceed yet counts as taken back: it is cancelled, whoever waits for it is let go.
        """
        ...

    def talk(self, program: Program) -> AbstractAsyncContextManager[ProcessIO]:
        """A program in the sandbox to talk to; nothing of it is left when the block is.

        Raises RemitError: SANDBOX_UNAVAILABLE, or VALIDATION_ERROR for a path or host that cannot be given.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether an agent can be asked here and now."""

    needs: str | None = None
    """What is missing and what to do about it; None if it is ready."""

    version: str | None = None
    notes: Sequence[str] = ()
    """What its asking for approval is worth, and what else there is to know, a sentence each."""


class Agent(Protocol):
    """One way of doing tasks."""

    @property
    def id(self) -> str:
        """The name a task asks for it by."""
        ...

    @property
    def description(self) -> str:
        """What it does and needs, for whoever chooses."""
        ...

    @property
    def speaks(self) -> bool:
        """Whether it has a model: its answer is what it says, and it can use MCP servers.

        Else its answer is the output of its commands.
        """
        ...

    async def readiness(self, variables: Collection[str] = ()) -> Readiness:
        """Whether it can be asked here and now, by a task that brings variables and secrets of these names.

        Quick, and without a word over the network.
        """
        ...

    def check(self, message: str) -> Sequence[str]:
        """What to warn of in a message, a sentence each.

        Raises RemitError (VALIDATION_ERROR) for one that cannot be worked on at all; NeedsModel where another agent
        could.
        """
        ...

    async def work(self, turn: Turn) -> None:
        """Do the turn. Returning means completed.

        Raises RemitError for a failure, Stopped for a refused call, Suspended from the turn itself.
        Called again from the start after a suspension: what is done already answers DONE.
        """
        ...
