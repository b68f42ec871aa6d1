"""A window on the server as a host has one: a `remit` process, and JSON-RPC lines on its standard streams."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from server.daemon.handshake import MAX_LINE
from server.errors import ERROR_META
from tests import servers

PATIENCE = 60.0
"""Seconds for an answer: hosts give up a call after as many."""

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "chaos", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}

Line = dict[str, Any]


class Lost(Exception):
    """The answer to a call did not come: whether it was done is not known."""


class Refused(Exception):
    """A tool's error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Window:
    """One window. Several calls may be open at once."""

    def __init__(self, process: anyio.abc.Process, hear: Callable[[bytes], None]) -> None:
        """`hear` is told of each line that the server says."""
        assert process.stdin
        assert process.stdout
        self.pid = process.pid
        self._process = process
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)
        self._hear = hear
        self._open: dict[int, anyio.Event] = {}
        self._answers: dict[int, Line] = {}
        self._asked = 0
        self.is_gone = False

    @classmethod
    async def open(cls, launcher: Path, home: Path, hear: Callable[[bytes], None]) -> Self:
        """Start a `remit` on the server of a state folder."""
        process = await anyio.open_process(
            [sys.executable, str(launcher)],
            env=servers.environment(home),
            cwd=home.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return cls(process, hear)

    async def listen(self) -> None:
        """Take the answers until the process has ended."""
        with suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError, anyio.BrokenResourceError):
            while True:
                self._take(await self._stdout.receive_until(b"\n", MAX_LINE))
        self.is_gone = True
        for event in self._open.values():
            event.set()

    async def call(self, tool: str, **arguments: Any) -> Line:
        """Return a tool's answer.

        Raises Refused for a tool's error, Lost where none has come, TimeoutError where none came in PATIENCE.
        """
        answer = await self._ask("tools/call", name=tool, arguments=arguments)
        if "error" in answer:
            raise Lost(answer["error"]["message"])
        result = answer["result"]
        if result.get("isError"):
            raise Refused(result["_meta"][ERROR_META]["code"], result["_meta"][ERROR_META]["message"])
        content: Line = result["structuredContent"]
        return content

    def kill(self) -> None:
        """End the process without a warning."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def aclose(self) -> None:
        """Close the window, as a host does."""
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._stdin.aclose()
        with anyio.move_on_after(PATIENCE):
            await self._process.wait()
        self.kill()
        await self._process.aclose()

    async def _ask(self, method: str, **params: Any) -> Line:
        self._asked += 1
        key, event = self._asked, anyio.Event()
        self._open[key] = event
        request = {"jsonrpc": "2.0", "id": key, "method": method, "params": {**params, "_meta": META}}
        try:
            await self._stdin.send(json.dumps(request).encode() + b"\n")
            with anyio.fail_after(PATIENCE):
                await event.wait()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise Lost("the window has ended") from None
        finally:
            del self._open[key]
        if key not in self._answers:
            raise Lost("the window has ended")
        return self._answers.pop(key)

    def _take(self, line: bytes) -> None:
        self._hear(line)
        answer = json.loads(line)
        if event := self._open.get(answer.get("id")):
            self._answers[answer["id"]] = answer
            event.set()
