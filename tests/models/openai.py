"""The wire format of OpenAI's chat completions, with the reasoning that compatible servers add to it."""

import json
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

from tests.models.conversation import Calls, Json, Message
from tests.models.reply import Part, Reply, pieces
from tests.models.script import Hold, Say, Think, Use

_CREATED = 1_760_000_000  # seconds since 1970: some moment


def key(headers: dict[str, str]) -> str:
    """Return what the client authenticated itself with."""
    return headers.get("authorization", "").removeprefix("Bearer ")


def system(body: Json) -> str:
    """Return the instructions."""
    return "\n".join(_text(message) for message in body["messages"] if message["role"] in ("system", "developer"))


def messages(body: Json) -> Iterator[Message]:
    """Yield the conversation. Raises Malformed."""
    calls = Calls()
    for message in body["messages"]:
        if message["role"] == "tool":
            yield Message("user", results=(calls.answered(message["tool_call_id"], _text(message)),))
            continue
        calls.settle()
        if message["role"] == "assistant":
            for call in message.get("tool_calls") or ():
                calls.made(call["id"], call["function"]["name"])
        if message["role"] in ("assistant", "user"):
            yield Message(message["role"], _text(message))
    calls.settle()


def tools(body: Json) -> Iterator[str]:
    """Return the names of the tools on offer."""
    return (tool["function"]["name"] for tool in body.get("tools") or ())


def whole(reply: Reply) -> Iterator[Part]:
    """Yield the answer in one piece, after its pauses."""
    yield from reply.holds
    message: Json = {"role": "assistant", "content": reply.said or None}
    if reply.thought:
        message["reasoning_content"] = reply.thought
    if reply.uses:
        message["tool_calls"] = [_call(use) for use in reply.uses]
    choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
    yield json.dumps({**_envelope(reply, "chat.completion"), "choices": [choice], "usage": _usage(reply)}).encode()


def streamed(reply: Reply, body: Json) -> Iterator[Part]:
    """Yield the answer as server-sent events."""
    yield _chunk(reply, {"role": "assistant", "content": ""})
    for step in reply.steps:
        match step:
            case Hold():
                yield step
            case Say(text):
                yield from (_chunk(reply, {"content": piece}) for piece in pieces(text))
            case Think(text):
                yield from (_chunk(reply, {"reasoning_content": piece}) for piece in pieces(text))
            case Use():
                index = next(i for i, use in enumerate(reply.uses) if use is step)
                yield from (_chunk(reply, {"tool_calls": [{"index": index, **delta}]}) for delta in _deltas(step))
    yield _chunk(reply, {}, _finish(reply))
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _event({**_envelope(reply, "chat.completion.chunk"), "choices": [], "usage": _usage(reply)})
    yield b"data: [DONE]\n\n"


def error(_status: int, message: str) -> Json:
    """Return the body of a refusal."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


def _text(message: Json) -> str:
    content: Any = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def _call(use: Use) -> Json:
    function = {"name": use.tool, "arguments": json.dumps(use.args)}
    return {"id": f"call_{token_hex(12)}", "type": "function", "function": function}


def _deltas(use: Use) -> Iterator[Json]:
    call = _call(use)
    arguments = call["function"]["arguments"]
    yield {**call, "function": {**call["function"], "arguments": ""}}
    yield from ({"function": {"arguments": piece}} for piece in pieces(arguments))


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.uses else "stop"


def _usage(reply: Reply) -> Json:
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }


def _envelope(reply: Reply, kind: str) -> Json:
    return {"id": f"chatcmpl-{reply.id}", "object": kind, "created": _CREATED, "model": reply.model}


def _chunk(reply: Reply, delta: Json, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event({**_envelope(reply, "chat.completion.chunk"), "choices": [choice]})


def _event(data: Json) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"
