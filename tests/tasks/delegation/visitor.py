"""A program in a sandbox that uses the callback channel of its run: `python visitor.py CALLS`, a file of them as JSON.

Made of the standard library alone. Prints what comes back, a line of JSON for each call. `ID` in the arguments of one
stands for the id in the answer to the first create_task before it.
"""

import json
import os
import socket
import sys
from typing import Any

Json = dict[str, Any]


class Visitor:
    """Speaks MCP through the callback channel."""

    def __init__(self, token: str | None = None, address: str | None = None) -> None:
        host, _, port = (address or os.environ["REMIT_DOOR"]).rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.file = self.socket.makefile("rb")
        self.socket.sendall((token or os.environ["REMIT_TOKEN"]).encode() + b"\n")
        self._number = 0

    def send(self, **message: Any) -> None:
        self.socket.sendall(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def receive(self) -> Json:
        """Return the next message; none at the end."""
        return json.loads(self.file.readline() or b"{}")  # type: ignore[no-any-return]

    def request(self, method: str, **params: Any) -> Json:
        """Ask, and return the answer."""
        self._number += 1
        self.send(id=self._number, method=method, params=params)
        while (answer := self.receive()) and answer.get("id") != self._number:
            pass
        return answer

    def begin(self) -> Json:
        """Shake hands."""
        about = {"name": "visitor", "version": "1"}
        answer = self.request("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=about)
        self.send(method="notifications/initialized")
        return answer

    def call(self, tool: str, **arguments: Any) -> Json:
        """Return the structured answer of a tool, or as `error` what is told of one that failed."""
        result = self.request("tools/call", name=tool, arguments=arguments)["result"]
        return {"error": result["_meta"]["remit/error"]} if result.get("isError") else result["structuredContent"]


def main() -> None:
    with open(sys.argv[1]) as file:
        calls = json.load(file)
    visitor = Visitor()
    visitor.begin()
    made: list[str] = []
    for tool, arguments in calls:
        filled_in = json.loads(json.dumps(arguments).replace('"ID"', json.dumps(made[0] if made else "ID")))
        answer = visitor.call(tool, **filled_in)
        if tool == "create_task" and "id" in answer:
            made.append(answer["id"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
