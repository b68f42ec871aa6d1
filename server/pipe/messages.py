"""JSON-RPC lines as the pipe sees them: their ids, and which requests may be sent twice."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress

from server import json_rpc

TYPE_CHECKING = False  # what typing has, without the megabyte that importing it costs every window
if TYPE_CHECKING:
    from typing import TypeGuard

Key = str | int
"""The id of a request."""

ENVELOPE = "io.modelcontextprotocol/protocolVersion"
"""The key in a request's `_meta` since protocol 2026-07-28, in which no handshake opens a connection."""

READING_METHODS = frozenset(
    "initialize ping server/discover tools/list prompts/list prompts/get resources/list resources/templates/list"
    " resources/read completion/complete tasks/get".split()
)
"""Requests that change nothing, or nothing but their own connection."""

READING_TOOLS = frozenset("get_task list_tasks get_task_graph read_artifacts list_agents".split())
"""Tools that change nothing; a test compares them with the tools' own annotations."""


def parsed(line: bytes) -> dict[str, object]:
    """Return the JSON object of a line; empty if it is none: the server will say what is wrong."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def encoded(message: dict[str, object]) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def is_key(key: object) -> "TypeGuard[Key]":
    """Return whether this is the id of a request."""
    return isinstance(key, str | int) and not isinstance(key, bool)


def error(key: Key | None, text: str, code: int = json_rpc.SERVER_ERROR) -> bytes:
    """Return the error response to a request, as a line; `key` is None if the id is unknown."""
    return encoded(json_rpc.error(key, text, code))


def id_of_long(line: bytes) -> Key | None:
    """Return the id of a request too long to be parsed: SDKs write it before the parameters or at the end."""
    found = _ID_AT_BEGINNING.match(line) or _ID_AT_END.search(line, max(0, len(line) - 1000))
    key = parsed(b'{"id":%b}' % found[1]).get("id") if found else None
    return key if is_key(key) else None


_ID = rb'"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)\s*'
_ID_AT_BEGINNING = re.compile(rb'\s*\{\s*(?:"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*,\s*)*' + _ID + b"[,}]")
_ID_AT_END = re.compile(_ID + rb"\}\s*$")


def may_be_repeated(request: dict[str, object]) -> bool:
    """Return whether a request may be sent to a server that has done it already: it only reads, or has a key."""
    if request["method"] != "tools/call":
        return request["method"] in READING_METHODS
    match request.get("params"):
        case {
            "name": "create_task" | "send_message",
            "arguments": {"idempotencyKey": str() as key} | {"options": {"idempotencyKey": str() as key}},
        }:
            return bool(key)
        case {"name": str() as tool}:
            return tool in READING_TOOLS
        case _:
            return False


def with_less_to_wait(line: bytes, seconds: float) -> bytes:
    """Return a request to be sent again after `seconds`, with its waiting time reduced by them."""
    message = parsed(line)
    match message:
        case {"params": {"arguments": {"waitSeconds": int() | float() | str() as wait} as arguments}}:
            with suppress(ValueError, OverflowError):  # no number, about which the server will say what is wrong
                arguments["waitSeconds"] = max(0, int(float(wait) - seconds))
                return encoded(message)
    return line


def answer_beginning(line: bytes) -> dict[str, object]:
    """Return a server's message without its result, which may be long and does not identify it."""
    beginning, result, _ = line.partition(b',"result":')
    return parsed(beginning + b"}" if result and beginning.startswith(b'{"jsonrpc":"2.0","id":') else line)


def whole_lines(read: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield what `read` returns until it returns nothing, cut at line ends; an unfinished last line is lost."""
    pending = bytearray()
    while chunk := read():
        pending += chunk
        if end := pending.rfind(b"\n", len(pending) - len(chunk)) + 1:
            yield bytes(pending[:end])
            del pending[:end]
