"""An MCP server over stdio, of the standard library alone: any Python runs it in a sandbox, `python -I -S local.py`.

Its tools say what it was started with: the values of its variables, and its arguments.
"""

import json
import os
import sys
from typing import Any

PROTOCOL = "2025-06-18"

_TEXT = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
TOOLS = [
    {"name": "variable", "description": "Say the value of one of this server's variables.", "inputSchema": _TEXT},
    {
        "name": "odd",
        "description": "Say something that its own schema takes for ever to look at.",
        "inputSchema": {"type": "object"},
        "outputSchema": {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}},
    },
    {"name": "arguments", "description": "Say this server's arguments.", "inputSchema": {"type": "object"}},
]


def call(name: str, arguments: dict[str, Any]) -> str:
    """Return the result of a tool."""
    return os.environ.get(arguments["name"], "(unset)") if name == "variable" else " ".join(sys.argv[1:])


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of a request; None for a method that is not known."""
    match method:
        case "initialize":
            about = {"name": "local", "version": "1"}
            return {"protocolVersion": PROTOCOL, "capabilities": {"tools": {}}, "serverInfo": about}
        case "ping":
            return {}
        case "tools/list":
            return {"tools": TOOLS}
        case "tools/call":
            said = {"content": [{"type": "text", "text": call(params["name"], params.get("arguments") or {})}]}
            return said | ({"structuredContent": {"a": "a" * 100 + "!"}} if params["name"] == "odd" else {})
    return None


def main() -> None:
    """Answer line by line until there are no more."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        result = answer(message["method"], message.get("params") or {})
        outcome = {"result": result} if result is not None else {"error": {"code": -32601, "message": "unknown method"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}), flush=True)


if __name__ == "__main__":
    main()
