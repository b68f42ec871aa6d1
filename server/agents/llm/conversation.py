"""The conversation between the agent and its model, stored so that another run can continue it."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from server.agents.interface import HistoryMessage, Turn, Usage
from server.config import LlmSettings
from server.errors import Code, RemitError

_INSTRUCTIONS = """\
You are a background agent that does one task and reports. You work in a sandbox: a folder of the task's own, which is
the current one, and no network unless a command shows there is. Files that came with the task lie in uploads/.
Secrets are environment variables of your commands: use them by name, like $NAME; where you see [secret NAME], a value
was masked. Some calls wait for a person's approval; where one is refused, do not try the same in another way: say what
you could not do. Nobody answers questions meanwhile: decide, and say what you decided. End with a short report."""
_NOT_MADE = "not made: the turn ended before"


class ModelConversation:
    """The messages of a turn and of those before it. Every addition is durable when it returns."""

    def __init__(self, turn: Turn, settings: LlmSettings, messages: list[ModelMessage], used: Usage) -> None:
        self._turn = turn
        self._settings = settings
        self._instructions = "\n\n".join(filter(None, [_INSTRUCTIONS, turn.system_prompt]))
        self._used = used
        self.messages = messages

    @classmethod
    async def of(cls, turn: Turn, settings: LlmSettings) -> "ModelConversation":
        """Return the conversation at the turn's present state: new, after earlier turns, or as another run left it."""
        if state := await turn.recall():
            return cls(turn, settings, _loaded(state), Usage(**state["used"]))
        earlier = await turn.recall_earlier()
        messages = _closed(_loaded(earlier)) if earlier else _told(await turn.history())
        conversation = cls(turn, settings, messages, Usage())
        await conversation.ask([UserPromptPart(turn.message)])
        return conversation

    @property
    def open_calls(self) -> Sequence[ToolCallPart]:
        """The calls of the latest response, where they have no results yet."""
        last = self.messages[-1]
        return (
            [part for part in last.parts if isinstance(part, ToolCallPart)] if isinstance(last, ModelResponse) else []
        )

    @property
    def has_spoken(self) -> bool:
        """Whether the model has said anything in this turn."""
        for message in reversed(self.messages):
            if any(isinstance(part, TextPart) for part in message.parts):
                return True
            if any(isinstance(part, UserPromptPart) for part in message.parts):
                return False
        return False

    async def ask(self, parts: Sequence[UserPromptPart | ToolReturnPart]) -> None:
        """Add the parts that the model is to answer next."""
        self.messages.append(ModelRequest(parts=list(parts), instructions=self._instructions))
        await self._remember(Usage())

    async def answered(self, response: ModelResponse) -> None:
        """Add the model's answer. Raises RemitError (LIMIT_EXCEEDED): once it has used more than allowed."""
        self.messages.append(response)
        usage = Usage(1, response.usage.input_tokens, response.usage.output_tokens)
        self._used = Usage(
            self._used.requests + 1,
            self._used.input_tokens + usage.input_tokens,
            self._used.output_tokens + usage.output_tokens,
        )
        await self._remember(usage)

    def check_budget(self) -> None:
        """Raise RemitError (LIMIT_EXCEEDED) where the model may not be asked again in this turn."""
        tokens = self._used.input_tokens + self._used.output_tokens
        if self._used.requests >= self._settings.max_requests:
            raise _spent(f"{self._used.requests} requests to its model (agents.llm.max_requests)")
        if self._settings.max_tokens and tokens >= self._settings.max_tokens:
            raise _spent(f"{tokens} tokens (agents.llm.max_tokens is {self._settings.max_tokens})")

    async def _remember(self, usage: Usage) -> None:
        state = {
            "messages": ModelMessagesTypeAdapter.dump_python(self.messages, mode="json"),
            "used": {name: getattr(self._used, name) for name in ("requests", "input_tokens", "output_tokens")},
        }
        await self._turn.remember(state, usage)


def _spent(what: str) -> RemitError:
    return RemitError(
        Code.LIMIT_EXCEEDED, f"the turn has used {what}; send_message goes on from here with a new turn's budget"
    )


def _loaded(state: Mapping[str, Any]) -> list[ModelMessage]:
    return ModelMessagesTypeAdapter.validate_python(state["messages"])


def _calls(response: ModelResponse) -> list[ToolCallPart]:
    return [part for part in response.parts if isinstance(part, ToolCallPart)]


def _closed(messages: list[ModelMessage]) -> list[ModelMessage]:
    """Return the messages of a finished turn, each open call with a result: providers refuse calls without one."""
    last = messages[-1]
    if isinstance(last, ModelRequest):
        return messages
    returns = [ToolReturnPart(call.tool_name, _NOT_MADE, call.tool_call_id) for call in _calls(last)]
    return [*messages, ModelRequest(parts=returns)] if returns else messages


def _told(history: Sequence[HistoryMessage]) -> list[ModelMessage]:
    """Return the conversation of other tasks, or of another agent, as messages of text only."""
    return [
        ModelRequest(parts=[UserPromptPart(message.content)])
        if message.role == "user"
        else ModelResponse(parts=[TextPart(message.content or "(nothing was said)")])
        for message in history
    ]
