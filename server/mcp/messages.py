"""Lines as JSON-RPC messages, and the answer to a line that is none."""

import json
import re
from typing import Any

from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request
from mcp_types import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    PROTOCOL_VERSION_META_KEY,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)
from mcp_types import jsonrpc_message_adapter as adapter
from pydantic import ValidationError

from server.json_text import MAX_VALUES, holds_too_many, is_whole, memory

MAX_BESIDE = 256 * 1024
"""Bytes of memory that a message takes beside the arguments of a tool, which are kept while a call is open: icons that
a client sends along take some kilobytes."""

_LONGEST_NAME = 200
"""Characters that are kept of the name and the version of a client."""

_WITH_ID = 300
"""Bytes in which the id of a request stands, with what clients write before or after it."""

_VERSION = rb'"jsonrpc"\s*:\s*"2.0"'
_NUMBER = rb'"id"\s*:\s*(-?[1-9]\d{0,19}|0|"[\x20-\x21\x23-\x5b\x5d-\x7e]{0,200}")'
_FIRST_ID = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb"\s*,\s*)?" + _NUMBER + rb"\s*,")
_LAST_ID = re.compile(rb",\s*" + _NUMBER + rb"\s*(?:,\s*" + _VERSION + rb"\s*)?\}\s*\Z")

_HALF = re.compile(rb"\\u[dD]|\xed[\xa0-\xbf]")
"""What may be half of a surrogate pair, escaped or as bytes."""


class NoMessage(Exception):
    """A line that is no message, or calls no tool. `answer` is the line to send back, which repeats its id alone."""

    def __init__(self, code: int, reason: str, number: str | int | None = None) -> None:
        super().__init__(reason)
        self.answer = refusal(code, reason, number)


def refusal(code: int, reason: str, number: str | int | None) -> bytes:
    """The line that answers a request, or what is none, with a JSON-RPC error."""
    return json.dumps({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": reason}}).encode()


def line_of(message: JSONRPCMessage) -> bytes:
    """The line that a message is sent as."""
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()


def answer_before_opening(request: JSONRPCRequest) -> JSONRPCResponse | JSONRPCError | None:
    """The answer to a request that does not open a connection; None if it does.

    The SDK would take it for the opening, and refuse all requests of the other era of the protocol from then on: after
    a ping those with a version, after one with a version that is not known a handshake in another.
    """
    meta = (request.params or {}).get("_meta")
    has_version = isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta
    if request.method == "ping" and not has_version:
        return JSONRPCResponse(jsonrpc="2.0", id=request.id, result={})
    if request.method == "initialize" or not has_version:
        return None
    match classify_inbound_request({"method": request.method, "params": request.params}):
        case InboundLadderRejection(code=code, message=message, data=data):
            error = ErrorData(code=code, message=message, data=data)
            return JSONRPCError(jsonrpc="2.0", id=request.id, error=error)
        case _:
            return None


def parse(line: bytes) -> JSONRPCMessage:
    """The message in a line. Raises NoMessage."""
    if holds_too_many(line):
        raise NoMessage(INVALID_REQUEST, f"this message holds more than {MAX_VALUES} values", _plain_id(line))
    found = _loaded(line)
    number = _id(found)
    try:
        message = adapter.validate_python(found, by_name=False)
    except ValidationError:
        raise NoMessage(INVALID_REQUEST, "this is not a JSON-RPC 2.0 message", number) from None
    if isinstance(message, JSONRPCNotification) and "id" in found:
        raise NoMessage(INVALID_REQUEST, "the id of a request must be a text or a whole number")
    if _HALF.search(line):
        _check_whole(message, found, number)
    return _bounded(_with_arguments(_opening(message)))


def _check_whole(message: JSONRPCMessage, found: Any, number: str | int | None) -> None:
    """Raise NoMessage for halves of surrogate pairs; in the arguments of a tool, the field at fault is named later."""
    if not is_whole(_without_arguments(found) if isinstance(message, JSONRPCRequest) else found):
        raise NoMessage(INVALID_REQUEST, "half of a surrogate pair is no character", number)


def _opening(message: JSONRPCMessage) -> JSONRPCMessage:
    """The same message; of one that opens a connection what is used here, since the SDK keeps that as long as it lasts.

    These are the version of the protocol, and the name and version of the client.
    """
    if not isinstance(message, JSONRPCRequest) or message.method != "initialize":
        return message
    params = message.params or {}
    kept: dict[str, Any] = {name: params[name] for name in ("protocolVersion", "_meta") if name in params}
    match params:
        case {"clientInfo": {"name": str(name), "version": str(version)}, "capabilities": dict()}:
            kept["clientInfo"] = {"name": name[:_LONGEST_NAME], "version": version[:_LONGEST_NAME]}
            kept["capabilities"] = {}
    return message.model_copy(update={"params": kept})


def _bounded(message: JSONRPCMessage) -> JSONRPCMessage:
    """The same message. Raises NoMessage for one that takes too much beside the arguments of a tool."""
    if not isinstance(message, JSONRPCRequest | JSONRPCNotification):
        return message
    beside = _without_arguments({"method": message.method, "params": message.params})
    number = message.id if isinstance(message, JSONRPCRequest) else None
    if memory([beside, number]) > MAX_BESIDE:
        reason = f"beside the arguments of a tool, a message may take {MAX_BESIDE // 1024} KiB of memory"
        raise NoMessage(INVALID_REQUEST, reason, number)
    return message


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        raise NoMessage(PARSE_ERROR, "this line is not JSON") from None
    except UnicodeDecodeError:
        raise NoMessage(PARSE_ERROR, "this line is not UTF-8") from None
    except ValueError:  # of Python's own: it reads 4,300 digits
        raise NoMessage(INVALID_REQUEST, "a number in this message has too many digits", _plain_id(line)) from None
    except RecursionError:
        raise NoMessage(INVALID_REQUEST, "this message is nested too deeply") from None


def _id(found: Any) -> str | int | None:
    number = found.get("id") if isinstance(found, dict) else None
    return number if isinstance(number, str | int) and not isinstance(number, bool) and is_whole(number) else None


def _plain_id(line: bytes) -> str | int | None:
    """The id of a request whose line is not to be read, where it stands at the beginning or at the end."""
    found = _FIRST_ID.match(line[:_WITH_ID]) or _LAST_ID.search(line[-_WITH_ID:])
    return _id({"id": json.loads(found[1])}) if found else None


def _without_arguments(request: dict[str, Any]) -> dict[str, Any]:
    params = request.get("params")
    if request["method"] != "tools/call" or not isinstance(params, dict):
        return request
    return request | {"params": {name: value for name, value in params.items() if name != "arguments"}}


def _with_arguments(message: JSONRPCMessage) -> JSONRPCMessage:
    """The same message with the arguments of a tool as an object, where a host has sent them as a text of JSON.

    Raises NoMessage for a call that names no tool or whose arguments are no object, of which the SDK says no more than
    that they are invalid.
    """
    if not isinstance(message, JSONRPCRequest) or message.method != "tools/call":
        return message
    params = message.params or {}
    if not isinstance(params.get("name"), str):
        raise NoMessage(INVALID_PARAMS, "params.name must be a text, the name of a tool", message.id)
    arguments = _read(params.get("arguments"))
    if not isinstance(arguments, dict | None):
        raise NoMessage(INVALID_PARAMS, "params.arguments must be an object", message.id)
    return message.model_copy(update={"params": params | {"arguments": arguments}})


def _read(arguments: Any) -> Any:
    """The arguments of a tool, out of the text of JSON that some hosts send."""
    if not isinstance(arguments, str) or holds_too_many(arguments):
        return arguments
    try:
        return json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments
