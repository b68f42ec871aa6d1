"""A host's window on an MCP server, reduced to bytes: no SDK on this side, so that only the server's time is taken."""

import itertools
import json
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Self

Era = Literal["2025-11-25", "2026-07-28"]
ERAS: tuple[Era, Era] = ("2025-11-25", "2026-07-28")

_CLIENT = {"name": "benchmarks", "version": "1"}
_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": _CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}
_END_SECONDS = 10.0  # a server that was told the end by its stdin takes milliseconds


class Window:
    """A server's process and its two pipes, as long as the `with` lasts; every request blocks until it is answered."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], era: Era = "2026-07-28") -> None:
        self._command, self._environment, self._era = command, environment, era
        self._numbers = itertools.count(1)
        self.introduction: dict[str, Any] = {}
        """What the server has said of itself."""

    def __enter__(self) -> Self:
        """Start the server and introduce ourselves, in the way of the era."""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, env=dict(self._environment), stdin=pipe, stdout=pipe)
        try:
            self._introduce()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close the server's stdin, as a window that closes does, and wait for the process to end."""
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):  # it was killed with requests unread
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    def line(self, method: str, **params: Any) -> bytes:
        """The line that answers a request; empty when the server is gone."""
        self.ask(method, **params)
        assert self._process.stdout
        return self._process.stdout.readline()

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of one request. Raises RuntimeError for an error, or when the server is gone."""
        answer = json.loads(self.line(method, **params) or b"{}")
        if "result" not in answer:
            raise RuntimeError(f"{method}: {answer.get('error', 'the server is gone')}")
        return dict(answer["result"])

    def ask(self, method: str, **params: Any) -> None:
        """Send a request, and leave its answer unread. Raises BrokenPipeError when the server is gone."""
        self._send({"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": self._addressed(params)})

    def kill(self) -> None:
        """End the process without a warning."""
        self._process.kill()
        self._process.wait()

    def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The structured content of a tool's answer. Raises RuntimeError for a failure."""
        result = self.request("tools/call", name=tool, arguments=arguments)
        if result.get("isError"):
            raise RuntimeError(f"{tool}: {result['content'][0]['text']}")
        return dict(result["structuredContent"])

    def _introduce(self) -> None:
        if self._era == "2026-07-28":
            self.introduction = self.request("server/discover")
        else:
            about = {"protocolVersion": self._era, "capabilities": {}, "clientInfo": _CLIENT}
            self.introduction = self.request("initialize", **about)
            self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _addressed(self, params: dict[str, Any]) -> dict[str, Any]:
        return params | {"_meta": _META} if self._era == "2026-07-28" else params

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()
