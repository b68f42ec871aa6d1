"""The command line's connection to the server: MCP on its socket, with the standard library alone.

Importing the SDK takes most of a second, and `remit list` has to answer at once.
"""

import json
from itertools import count
from typing import Any, Self

from server.cli.printing import note
from server.daemon.handshake import Greeting, Link
from server.daemon.launch import AFTERMATH, connect, notices
from server.daemon.paths import find_state_paths
from server.errors import ERROR_META, Code, RemitError
from server.version import VERSION

_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",  # the first version without a handshake
    "io.modelcontextprotocol/clientInfo": {"name": "remit-cli", "version": VERSION},
    "io.modelcontextprotocol/clientCapabilities": {},
}


ELSEWHERE = (
    "this terminal is in other namespaces than the server, as where one of them was started in a snap or a container: "
    "the server does not take it for a person's, and it decides nothing. End the server with `remit server stop` and "
    "start it from here, by any command"
)


class Client:
    """A connection to the server, closed at the end of its `with`."""

    def __init__(self, link: Link) -> None:
        self.is_person = is_persons(link.greeting)
        self._socket = link.socket
        self._lines = link.socket.makefile("rb")
        self._numbers = count(1)
        self._arrived: dict[int, dict[str, Any]] = {}

    def call(self, tool: str, **arguments: Any) -> Any:
        """Call a tool and return its answer, whatever other calls are open.

        Raises RemitError: the tool's own, or INTERRUPTED when the server is gone.
        """
        return self.answer(self.ask(tool, **arguments))

    def ask(self, tool: str, **arguments: Any) -> int:
        """Start a call; returns its number. Raises RemitError, INTERRUPTED when the server is gone."""
        number = next(self._numbers)
        params = {"name": tool, "arguments": arguments, "_meta": _ENVELOPE}
        request = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except ConnectionError:
            raise _gone() from None
        return number

    def answered(self) -> int:
        """Wait until an open call is answered; returns the earliest one's number. Raises RemitError as `ask` does."""
        if not self._arrived:
            self._receive()
        earliest: int = next(iter(self._arrived))
        return earliest

    def answer(self, number: int) -> Any:
        """Wait for the answer to a started call, and return it. Raises RemitError as `call` does."""
        while number not in self._arrived:
            self._receive()
        message = self._arrived.pop(number)
        if error := message.get("error"):
            raise self._explained(RemitError(Code.EXECUTION_ERROR, error["message"]))  # as for a tool that it has not
        result: dict[str, Any] = message["result"]
        if result.get("isError"):
            raise self._explained(RemitError.of_facts(**result["_meta"][ERROR_META]))
        return result["structuredContent"]

    def find(self, beginning: str) -> str:
        """Return the full id of the task with this prefix. Raises RemitError as `get_task` does."""
        return str(self.call("get_task", id=beginning)["id"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def _explained(self, error: RemitError) -> RemitError:
        """Return the error, or why arguments for a person's terminal are not accepted here."""
        if self.is_person or error.code not in (Code.VALIDATION_ERROR, Code.EXECUTION_ERROR):
            return error
        return RemitError(Code.FORBIDDEN, f"{ELSEWHERE} ({error.message})")

    def _receive(self) -> None:
        """Store the next answer; notifications are ignored. Raises RemitError (INTERRUPTED)."""
        try:
            for line in self._lines:
                message: dict[str, Any] = json.loads(line)
                if "id" in message:
                    self._arrived[message["id"]] = message
                    return
        except ConnectionError:
            pass
        raise _gone()


def is_persons(greeting: Greeting) -> bool:
    """Return whether the server takes this terminal for a person's.

    An older version does not say, which counts as yes.
    """
    return greeting.role in ("terminal", None)


def open_client() -> Client:
    """Connect to the server of the state folder, started if there is none, and print notices about it.

    Raises:
        RemitError: why there is no server to connect to.
    """
    link = connect("terminal", find_state_paths())
    for notice in notices(link.greeting):
        note(notice)
    client = Client(link)
    if not client.is_person:
        note(ELSEWHERE)
    return client


def _gone() -> RemitError:
    return RemitError(Code.INTERRUPTED, f"the server ended before it answered. {AFTERMATH}; see `remit list`")
