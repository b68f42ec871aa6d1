"""Parsing of lines as JSON-RPC messages, and the answers to lines that are none."""

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
"""Bytes of memory that a message may take besides the arguments of a tool, kept while a call is open.

Icons that a client sends along take some kilobytes.
"""

_LONGEST_NAME = 200
"""Characters kept of a client's name and version."""

_WITH_ID = 300
"""Bytes at either end of a line that are searched for a request's id."""

_VERSION = rb'"jsonrpc"\s*:\s*"2.0"'
_NUMBER = rb'"id"\s*:\s*(-?[1-9]\d{0,19}|0|"[\x20-\x21\x23-\x5b\x5d-\x7e]{0,200}")'
_FIRST_ID = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb"\s*,\s*)?" + _NUMBER + rb"\s*,")
_LAST_ID = re.compile(rb",\s*" + _NUMBER + rb"\s*(?:,\s*" + _VERSION + rb"\s*)?\}\s*\Z")

_HALF = re.compile(rb"\\u[dD]|\xed[\xa0-\xbf]")
"""Bytes that may be half of a surrogate pair, escaped or encoded."""


class NoMessage(Exception):
    """A line that is not a message, or calls no tool. `answer` is the line to send back, which repeats only the id."""

    def __init__(self, code: int, reason: str, number: str | int | None = None) -> None:
        super().__init__(reason)
        self.answer = refusal(code, reason, number)


def refusal(code: int, reason: str, number: str | int | None) -> bytes:
    """Return the line of a JSON-RPC error response."""
    return json.dumps({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": reason}}).encode()


def line_of(message: JSONRPCMessage) -> bytes:
    """Return a message as a line."""
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()


def answer_before_opening(request: JSONRPCRequest) -> JSONRPCResponse | JSONRPCError | None:
    """Return the answer to a request that does not open a connection; None if it does.

    The SDK would take any first request for the opening, and then refuse all requests of the protocol's other era:
    after a ping those with a version, after one with an unknown version a handshake in another.
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
    """Return the message in a line. Raises NoMessage."""
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
    """Raise NoMessage for unpaired surrogates; in a tool's arguments, validation names the field later."""
    if not is_whole(_without_arguments(found) if isinstance(message, JSONRPCRequest) else found):
        raise NoMessage(INVALID_REQUEST, "half of a surrogate pair is no character", number)


def _opening(message: JSONRPCMessage) -> JSONRPCMessage:
    """Return the message; of one that opens a connection only what is used, since the SDK keeps it.

    That is the protocol version, and the client's name and version.
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
    """Return the message. Raises NoMessage if it takes too much memory besides the arguments of a tool."""
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
    """Return the id of a request whose line is not parsed, if it stands at the beginning or the end."""
    found = _FIRST_ID.match(line[:_WITH_ID]) or _LAST_ID.search(line[-_WITH_ID:])
    return _id({"id": json.loads(found[1])}) if found else None


def _without_arguments(request: dict[str, Any]) -> dict[str, Any]:
    params = request.get("params")
    if request["method"] != "tools/call" or not isinstance(params, dict):
        return request
    return request | {"params": {name: value for name, value in params.items() if name != "arguments"}}


def _with_arguments(message: JSONRPCMessage) -> JSONRPCMessage:
    """Return the message with a tool's arguments as an object, even if a host sent them as JSON text.

    Raises NoMessage for a call that names no tool or whose arguments are not an object, for which the SDK would only
    say that they are invalid.
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
    """Parse a tool's arguments if a host sent them as JSON text."""
    if not isinstance(arguments, str) or holds_too_many(arguments):
        return arguments
    try:
        return json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments
