"""JSON-RPC 2.0: its error codes (jsonrpc.org/specification, section 5.1), and error responses.

The pipe of every window imports it: the module `typing` would cost each a megabyte.
"""

INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602

SERVER_ERROR = -32000
"""The first of the codes that are left to implementations, -32099 to -32000."""


def error(key: str | int | None, message: str, code: int) -> dict[str, object]:
    """Return the error response to the request `key`; None if its id is unknown."""
    return {"jsonrpc": "2.0", "id": key, "error": {"code": code, "message": message}}
