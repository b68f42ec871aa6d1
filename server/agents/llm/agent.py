"""The llm agent: the model is called from the server, and each of its actions is a call that passes the gate."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from server.agents.endings import Awaiting, Suspended
from server.agents.interface import KnownCall, Permission, Proposal, Readiness, ToolResult, Turn
from server.agents.mcp.servers import resolve
from server.agents.tool import Tool
from server.config import LlmSettings, McpServerSettings
from server.errors import Code, RemitError
from server.upgrades import check_importable

if TYPE_CHECKING:  # a second's work to import, for those who use this agent alone
    from pydantic_ai.messages import ToolCallPart, ToolReturnPart

    from server.agents.llm.model import ModelClient

MAX_SHOWN = 50_000
"""Characters of a call's output that the model is shown: its two ends."""

_INSTALL = "remit was installed without its extra llm; install it again with that: pipx install --force '.[llm]'"


class LlmAgent:
    """An agent with a model. The model's key and the loop stay in the server; its tools run in the sandbox."""

    id = "llm"
    description = "A model with shell, read_file, write_file, list_files and the MCP servers of the settings."
    speaks = True

    def __init__(
        self,
        settings: LlmSettings,
        servers: Mapping[str, McpServerSettings],
        key: Callable[[], Awaitable[str | None]],
    ) -> None:
        """Create the agent. `key` reads the model's key when it is needed."""
        self._settings = settings
        self._servers = servers
        self._key = key

    async def readiness(self, variables: Collection[str] = ()) -> Readiness:
        """Return whether the extra is installed and a model is configured."""
        from importlib.util import find_spec

        if find_spec("pydantic_ai") is None:
            return Readiness(needs=_INSTALL)
        if self._settings.model is None:
            return Readiness(needs='name a model in the settings: [agents.llm] model = "PROVIDER:NAME"')
        return Readiness(version=self._settings.model, notes=("Every call it makes passes the server's own gate.",))

    def check(self, message: str) -> Sequence[str]:
        """Accept any message; the agent itself must be ready."""
        if self._settings.model is None:
            raise RemitError(
                Code.AGENT_UNAVAILABLE,
                'agentId: the agent "llm" has no model; name one in the settings: [agents.llm] model = "PROVIDER:NAME"',
                field="agentId",
            )
        return ()

    async def work(self, turn: Turn) -> None:
        """Ask the model, make the calls it asks for, and so on until it asks for none."""
        client = await to_thread.run_sync(self._client, await self._key())
        from server.agents.llm.conversation import ModelConversation
        from server.agents.llm.subtask_tools import delegation
        from server.agents.llm.tools import HANDS
        from server.agents.mcp.tools import connected

        await turn.unlock()
        async with connected(resolve(turn.mcp_servers, self._servers, turn.fill_in), turn) as theirs:
            tools = by_name((*HANDS, *delegation(turn), *theirs))
            conversation = await ModelConversation.of(turn, self._settings)
            while True:
                if calls := conversation.open_calls:
                    await conversation.ask(await _made(turn, tools, calls, len(conversation.messages)))
                elif conversation.messages[-1].kind == "response":
                    return
                conversation.check_budget()
                response = await client.answer(
                    turn, conversation.messages, tools.values(), has_spoken=conversation.has_spoken
                )
                await conversation.answered(response)

    def _client(self, key: str | None) -> "ModelClient":
        """Import what only this agent needs, which takes two seconds: run it in a thread, so that others are served.

        Raises RemitError: AGENT_UNAVAILABLE that says what is missing, CONFLICT after an upgrade.
        """
        check_importable("server.agents.llm.model")
        try:
            for name in ("llm.conversation", "llm.subtask_tools", "llm.tools", "mcp.tools"):
                import_module(f"server.agents.{name}")
            from server.agents.llm.model import ModelClient
        except ImportError:
            raise RemitError(Code.AGENT_UNAVAILABLE, f"the agent llm cannot work: {_INSTALL}") from None
        return ModelClient.of(self._settings, key)


def by_name(tools: Sequence[Tool]) -> dict[str, Tool]:
    """Return the tools by name. Raises RemitError (AGENT_UNAVAILABLE) if two have one name."""
    known: dict[str, Tool] = {}
    for tool in tools:
        if known.setdefault(tool.name, tool) is not tool:
            raise RemitError(
                Code.AGENT_UNAVAILABLE,
                f"two tools are called {tool.name}; "
                "deny one of them in the settings of its MCP server, or rename that server",
            )
    return known


async def _made(
    turn: Turn, tools: Mapping[str, Tool], calls: "Sequence[ToolCallPart]", step: int
) -> "list[ToolReturnPart]":
    """Return the results of these calls, once each of them is decided and has its result.

    Raises Suspended where some wait for approval, else Awaiting where some wait for sub-tasks; the others have been
    made by then, and are not made again.
    """
    from pydantic_ai.messages import ToolReturnPart

    asked = [_Asked.of(call, tools, f"{step}.{number}") for number, call in enumerate(calls)]
    await turn.propose([each.proposal for each in asked if each.proposal])
    answers = [await each.answer(turn) for each in asked]
    if not all(answers):
        raise Suspended
    if waits := [answer.seconds for answer in answers if isinstance(answer, Awaiting)]:
        raise Awaiting({task_id: seconds for each in waits for task_id, seconds in each.items()})
    return [
        ToolReturnPart(call.tool_name, answer.text, call.tool_call_id, outcome="failed" if answer.failed else "success")
        for call, answer in zip(calls, answers, strict=True)
        if isinstance(answer, ToolResult)
    ]


class _Asked:
    """One call as the model asks for it, and as it is proposed if it can be made at all."""

    def __init__(self, name: str, tool: Tool | None, args: Mapping[str, Any], key: str, problem: str | None) -> None:
        self._name = name
        self._tool = tool
        self._args = args
        self._key = key
        self._problem = problem
        self.proposal: Proposal | None = None
        if tool and problem is None:
            described = tool.describe(args) if tool.describe else tool.name
            self.proposal = Proposal(
                key=key, tool_name=tool.name, args=args, description=described, is_command=tool.is_command
            )

    @classmethod
    def of(cls, call: "ToolCallPart", tools: Mapping[str, Tool], key: str) -> "_Asked":
        tool = tools.get(call.tool_name)
        if tool is None:
            return cls(
                call.tool_name, None, {}, key, f"there is no tool {call.tool_name!r}; there are {', '.join(tools)}"
            )
        try:
            args = call.args_as_dict(raise_if_invalid=True)
            tool.check(args)
        except (ValueError, AssertionError) as error:
            return cls(tool.name, tool, {}, key, f"the arguments are not valid: {error}")
        return cls(tool.name, tool, args, key, None)

    async def answer(self, turn: Turn) -> ToolResult | Awaiting | None:
        """Return the call's result, or the sub-tasks that it waits for; None while it waits for approval."""
        if self._tool is None:
            await turn.record_missing_tool(self._name)
        if self._tool is None or self.proposal is None:
            return ToolResult(self._problem or "", failed=True)
        try:
            permission = await turn.call(self._key, reads=self._tool.reads)
        except Suspended:
            return None
        if permission is Permission.REFUSED:
            return _refusal(turn.calls()[self._key])
        if permission is Permission.ALREADY_DONE:
            answer = _earlier(turn.calls()[self._key])
        else:
            try:
                answer = await self._tool.execute(turn, self._key, self._args)
            except Awaiting as awaiting:
                return awaiting
        return ToolResult(_shown(answer.text), answer.failed)


def _earlier(call: KnownCall) -> ToolResult:
    """Return the result of a call that an earlier run has made."""
    failed = call.status == "error"
    if call.is_cut_off:
        return ToolResult(f"{call.output}\n[{call.reason}: look what it has done before you do it again]", failed)
    status = f"\n[exit status {call.exit_status}]" if call.exit_status else ""
    return ToolResult(f"{call.output}{status}", failed)


def _refusal(call: KnownCall) -> ToolResult:
    reason = f": {call.reason}" if call.reason else ""
    return ToolResult(f"refused{'' if call.is_hidden else ' by whoever decides'}{reason}", failed=True)


def _shown(text: str) -> str:
    if len(text) <= MAX_SHOWN:
        return text or "(no output)"
    half = MAX_SHOWN // 2
    return f"{text[:half]}\n[… {len(text) - MAX_SHOWN} characters left out here …]\n{text[-half:]}"
