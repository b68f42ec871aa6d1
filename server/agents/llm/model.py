"""Client of the model: one request at a time."""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_ai.direct import model_request_stream
from pydantic_ai.exceptions import AgentRunError, ModelHTTPError, UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.providers import Provider, infer_provider_class
from pydantic_ai.tools import ToolDefinition

from server.agents.interface import Turn
from server.agents.tool import Tool
from server.config import LlmSettings
from server.errors import Code, RemitError
from templates.redaction import Redactor

_CUT_OFF = {
    "length": (Code.LIMIT_EXCEEDED, "the model's answer reached the provider's limit of output and was cut off"),
    "content_filter": (Code.EXECUTION_ERROR, "the provider's filter has stopped the model's answer"),
}


class ModelClient:
    """A model at its provider, and the key that opens it."""

    def __init__(self, model: Model, key: str | None) -> None:
        self._model = model
        self._redactor = Redactor({"api_key": key} if key else {})

    @classmethod
    def of(cls, settings: LlmSettings, key: str | None) -> "ModelClient":
        """Return a client of the settings' model. Raises RemitError (AGENT_UNAVAILABLE) that names what is missing."""
        assert settings.model
        redactor = Redactor({"api_key": key} if key else {})
        given = {name: value for name, value in (("api_key", key), ("base_url", settings.base_url)) if value}

        def provider(name: str) -> Provider[Any]:
            return infer_provider_class(name)(**given)

        try:
            return cls(infer_model(_compatible(settings), provider), key)
        except ImportError as error:
            reason = f"its provider's package is missing: {error}"
        except TypeError:
            reason = f"this provider takes no {' or '.join(given)}; leave it out"
        except (UserError, ValueError) as error:
            reason = str(error)
        raise RemitError(Code.AGENT_UNAVAILABLE, redactor.redact(f"agents.llm.model {settings.model!r}: {reason}"))

    async def answer(
        self, turn: Turn, messages: Sequence[ModelMessage], tools: Iterable[Tool], *, has_spoken: bool
    ) -> ModelResponse:
        """Ask for the next response; what it says and thinks is shown as it comes, apart from what it has said before.

        Raises RemitError (EXECUTION_ERROR or LIMIT_EXCEEDED) that says what the provider said.
        """
        offered = [
            ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=dict(tool.schema))
            for tool in tools
        ]
        parameters = ModelRequestParameters(function_tools=offered)
        try:
            async with model_request_stream(self._model, messages, model_request_parameters=parameters) as stream:
                async for event in stream:
                    has_spoken = await _show(turn, event, has_spoken)
                response = stream.get()
        except ModelHTTPError as error:
            raise self._failed(f"the model's provider answered {error.status_code}: {error.body}") from None
        except (AgentRunError, UserError) as error:
            raise self._failed(f"the model's provider failed: {error}") from None
        if cut_off := _CUT_OFF.get(response.finish_reason or ""):
            raise RemitError(*cut_off)
        return response

    def _failed(self, message: str) -> RemitError:
        return RemitError(Code.EXECUTION_ERROR, self._redactor.redact(message))


def _compatible(settings: LlmSettings) -> str:
    """Return the model's name; at an address of its own, a model is taken to speak OpenAI's older interface."""
    assert settings.model
    provider, _, name = settings.model.partition(":")
    return f"openai-chat:{name}" if provider == "openai" and settings.base_url else settings.model


async def _show(turn: Turn, event: object, has_spoken: bool) -> bool:
    """Show the text of an event; returns whether the model has spoken by then."""
    match event:
        case PartStartEvent(part=TextPart(content=text)):
            await turn.say(f"\n\n{text}" if has_spoken else text)
            return True
        case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            await turn.say(text)
        case PartEndEvent(part=ThinkingPart(content=thought)) if thought:
            await turn.think(thought)
    return has_spoken
