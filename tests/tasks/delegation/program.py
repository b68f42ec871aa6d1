"""An agent that speaks the Agent Client Protocol and makes the calls of its prompt, through the MCP server it has.

The prompt is a list of tools with their arguments, as JSON; what comes back is what it says, a line of JSON for each.
"""

import json
import subprocess
import sys
from typing import Any

Json = dict[str, Any]


def send(**message: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def requests() -> Any:
    """Yield the client's requests: their methods, ids and parameters."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            yield message["method"], message["id"], message["params"]


class Server:
    """The MCP server that was handed over, started as agents start one."""

    def __init__(self, given: Json) -> None:
        self.process = subprocess.Popen(
            [given["command"], *given["args"]],
            env={each["name"]: each["value"] for each in given["env"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._number = 0

    def request(self, method: str, **params: Any) -> Json:
        self._number += 1
        self.write(id=self._number, method=method, params=params)
        assert self.process.stdout
        while (answer := json.loads(self.process.stdout.readline())).get("id") != self._number:
            pass
        return answer  # type: ignore[no-any-return]

    def write(self, **message: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def begin(self) -> None:
        about = {"name": "program", "version": "1"}
        self.request("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=about)
        self.write(method="notifications/initialized")


def work(servers: list[Json], calls: list[Any]) -> None:
    (given,) = (server for server in servers if server["name"] == "remit")
    server = Server(given)
    server.begin()
    made = "ID"
    for tool, arguments in calls:
        filled_in = json.loads(json.dumps(arguments).replace('"ID"', json.dumps(made)))
        result = server.request("tools/call", name=tool, arguments=filled_in)["result"]
        answer = {"error": result["_meta"]["remit/error"]} if result.get("isError") else result["structuredContent"]
        made = answer.get("id", made)
        say(json.dumps(answer) + "\n")
    say(json.dumps({"token": given["env"][1]["value"]}))
    assert server.process.stdin
    server.process.stdin.close()
    server.process.wait()


def say(text: str) -> None:
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
    send(method="session/update", params={"sessionId": "s", "update": update})


def main() -> None:
    servers: list[Json] = []
    for method, number, params in requests():
        if method == "initialize":
            send(id=number, result={"protocolVersion": 1, "agentCapabilities": {}})
        elif method == "session/new":
            servers = params["mcpServers"]
            send(id=number, result={"sessionId": "s"})
        else:
            work(servers, json.loads(params["prompt"][0]["text"]))
            send(id=number, result={"stopReason": "end_turn"})


main()
