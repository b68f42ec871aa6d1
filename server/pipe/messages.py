"""JSON-RPC lines as the pipe sees them: whose they are, and which may be sent twice."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress

TYPE_CHECKING = False  # what typing has, without the megabyte that importing it costs every window
if TYPE_CHECKING:
    from typing import TypeGuard

Key = str | int
"""The id of a request."""

SERVER_ERROR = -32000  # JSON-RPC 2.0 leaves -32099 to -32000 to implementations

INVALID_REQUEST = -32600

ENVELOPE = "io.modelcontextprotocol/protocolVersion"
"""What a request has in its `_meta` from 2026-07-28 on, where no handshake opens a connection."""

READING_METHODS = frozenset(
    "initialize ping server/discover tools/list prompts/list prompts/get resources/list resources/templates/list"
    " resources/read completion/complete tasks/get".split()
)
"""Requests that change nothing, or nothing but their own connection."""

READING_TOOLS = frozenset("get_task list_tasks get_task_graph read_artifacts list_agents".split())
"""Tools that change nothing; a test holds them against the tools' own annotations."""


def parsed(line: bytes) -> dict[str, object]:
    """The JSON object of a line; empty if it is none, about which the server will say what is wrong."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def encoded(message: dict[str, object]) -> bytes:
    """A message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def is_key(key: object) -> "TypeGuard[Key]":
    """Whether this is the id of a request."""
    return isinstance(key, str | int) and not isinstance(key, bool)


def error(key: Key | None, text: str, code: int = SERVER_ERROR) -> bytes:
    """The answer to a request that could not be done, as a line; `key` is None where it is not known."""
    return encoded({"jsonrpc": "2.0", "id": key, "error": {"code": code, "message": text}})


def id_of_long(line: bytes) -> Key | None:
    """The id of a request that is too long to be read as JSON: SDKs write it before the parameters or at the end."""
    found = _ID_AT_BEGINNING.match(line) or _ID_AT_END.search(line, max(0, len(line) - 1000))
    key = parsed(b'{"id":%b}' % found[1]).get("id") if found else None
    return key if is_key(key) else None


_ID = rb'"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)\s*'
_ID_AT_BEGINNING = re.compile(rb'\s*\{\s*(?:"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*,\s*)*' + _ID + b"[,}]")
_ID_AT_END = re.compile(_ID + rb"\}\s*$")


def may_be_repeated(request: dict[str, object]) -> bool:
    """Whether a request may be sent to a server that has done it already: because it only reads, or has a key."""
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
    """A request that is sent again after `seconds`: it waits no longer in all than it said."""
    message = parsed(line)
    match message:
        case {"params": {"arguments": {"waitSeconds": int() | float() | str() as wait} as arguments}}:
            with suppress(ValueError, OverflowError):  # no number, about which the server will say what is wrong
                arguments["waitSeconds"] = max(0, int(float(wait) - seconds))
                return encoded(message)
    return line


def answer_beginning(line: bytes) -> dict[str, object]:
    """A server's message without its result: that may be long, and says nothing about whose it is."""
    beginning, result, _ = line.partition(b',"result":')
    return parsed(beginning + b"}" if result and beginning.startswith(b'{"jsonrpc":"2.0","id":') else line)


def whole_lines(read: Callable[[], bytes]) -> Iterator[bytes]:
    """What `read` returns until it returns nothing, cut so that each piece ends where a line ends; the rest is lost."""
    pending = bytearray()
    while chunk := read():
        pending += chunk
        if end := pending.rfind(b"\n", len(pending) - len(chunk)) + 1:
            yield bytes(pending[:end])
            del pending[:end]
