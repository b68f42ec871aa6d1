"""The wire format of Anthropic's messages."""

import json
import re
from collections.abc import Iterable, Iterator
from secrets import token_hex
from typing import Any

from tests.models.conversation import Calls, Json, Message
from tests.models.reply import Part, Reply, pieces
from tests.models.script import Hold, Say, Step, Think, Use

_SIGNATURE = "c2NyaXB0ZWQ="  # what proves a thought to be the model's own; clients only hand it back

_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
"""What Claude Code itself writes among what a person wrote."""

_ERRORS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 529: "overloaded_error"}


def key(headers: dict[str, str]) -> str:
    """Return what the client authenticated itself with."""
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")


def system(body: Json) -> str:
    """Return the instructions."""
    later = (_text(message["content"]) for message in body["messages"] if message["role"] == "system")
    return "\n".join((_text(body.get("system", "")), *later))


def messages(body: Json) -> Iterator[Message]:
    """Yield the conversation. Raises Malformed."""
    calls = Calls()
    for message in body["messages"]:
        if message["role"] == "system":
            continue
        blocks = _blocks(message["content"])
        results = (block for block in blocks if block["type"] == "tool_result")
        answered = tuple(calls.answered(block["tool_use_id"], _text(block.get("content", ""))) for block in results)
        calls.settle()
        for block in blocks:
            if block["type"] == "tool_use":
                calls.made(block["id"], block["name"])
        if answered:
            yield Message("user", results=answered)
        text = _REMINDER.sub("", _text(blocks)).strip()
        if text or message["role"] == "assistant":
            yield Message(message["role"], text)
    calls.settle()


def tools(body: Json) -> Iterator[str]:
    """Return the names of the tools on offer."""
    return (tool["name"] for tool in body.get("tools") or ())


def whole(reply: Reply) -> Iterator[Part]:
    """Yield the answer in one piece, after its pauses."""
    yield from reply.holds
    content = [_block(step) for step in reply.steps if not isinstance(step, Hold)]
    ending = {"content": content, "stop_reason": _reason(reply), "usage": _usage(reply)}
    yield json.dumps({**_envelope(reply), **ending}).encode()


def streamed(reply: Reply, _body: Json) -> Iterator[Part]:
    """Yield the answer as server-sent events."""
    started = {**_envelope(reply), "content": [], "stop_reason": None, "usage": {**_usage(reply), "output_tokens": 1}}
    yield _event("message_start", message=started)
    index = 0
    for step in reply.steps:
        if isinstance(step, Hold):
            yield step
            continue
        yield _event("content_block_start", index=index, content_block=_opened(step))
        yield from (_event("content_block_delta", index=index, delta=delta) for delta in _deltas(step))
        yield _event("content_block_stop", index=index)
        index += 1
    ended = {"stop_reason": _reason(reply), "stop_sequence": None}
    yield _event("message_delta", delta=ended, usage={"output_tokens": reply.output_tokens})
    yield _event("message_stop")


def error(status: int, message: str) -> Json:
    """Return the body of a refusal."""
    return {"type": "error", "error": {"type": _ERRORS.get(status, "invalid_request_error"), "message": message}}


def _blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _text(content: str | Iterable[Json]) -> str:
    blocks = _blocks(content)
    return "\n".join(block["text"] for block in blocks if block["type"] == "text")


def _block(step: Say | Think | Use) -> Json:
    match step:
        case Say(text):
            return {"type": "text", "text": text}
        case Think(text):
            return {"type": "thinking", "thinking": text, "signature": _SIGNATURE}
        case Use(tool, args):
            return {"type": "tool_use", "id": f"toolu_{token_hex(12)}", "name": tool, "input": args}


def _opened(step: Say | Think | Use) -> Json:
    empty: dict[type[Step], Json] = {Say: {"text": ""}, Think: {"thinking": "", "signature": ""}, Use: {"input": {}}}
    return {**_block(step), **empty[type(step)]}


def _deltas(step: Say | Think | Use) -> Iterator[Json]:
    match step:
        case Say(text):
            yield from ({"type": "text_delta", "text": piece} for piece in pieces(text))
        case Think(text):
            yield from ({"type": "thinking_delta", "thinking": piece} for piece in pieces(text))
            yield {"type": "signature_delta", "signature": _SIGNATURE}
        case Use(_, args):
            yield from ({"type": "input_json_delta", "partial_json": piece} for piece in pieces(json.dumps(args)))


def _reason(reply: Reply) -> str:
    return "tool_use" if reply.uses else "end_turn"


def _usage(reply: Reply) -> Json:
    return {
        "input_tokens": reply.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": reply.output_tokens,
    }


def _envelope(reply: Reply) -> Json:
    return {
        "id": f"msg_{reply.id}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "stop_sequence": None,
    }


def _event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()
