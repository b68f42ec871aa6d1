"""The clients that run on node: both TypeScript SDKs, and the official inspector."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.clients.window import ARGUMENTS, COMMAND, Outcome, Window
from tests.npm.packages import INSPECTOR, NODE, PACKAGES, require
from tests.servers import PATIENCE, environment

DRIVER = PACKAGES.with_name("client.mjs")
MAX_LINE = 8 * 1024**2
"""Bytes of an answer: more than any here has."""

TOOL_FAILED = 5
"""The inspector's exit status for a tool's own error."""


@dataclass(frozen=True, slots=True)
class _Driven:
    tools: Sequence[str]
    conversation: "_Conversation"

    async def call(self, tool: str, **arguments: Any) -> Outcome:
        await self.conversation.send({"tool": tool, "arguments": arguments})
        answer = await self.conversation.receive()
        return Outcome(True, answer["thrown"], {}) if "thrown" in answer else _outcome(answer)


class _Conversation:
    """Lines of JSON with a process."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin
        assert process.stdout
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)

    async def send(self, message: Mapping[str, Any]) -> None:
        await self._stdin.send(json.dumps(message).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        with anyio.fail_after(PATIENCE):
            answer: dict[str, Any] = json.loads(await self._stdout.receive_until(b"\n", MAX_LINE))
            return answer


@dataclass(frozen=True, slots=True)
class _Inspector:
    """Starts the inspector for each call, which opens and closes a window of its own."""

    home: Path
    era: str
    tools: Sequence[str]

    async def call(self, tool: str, **arguments: Any) -> Outcome:
        given = ["--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments)]
        return _outcome(await _inspect(self.home, self.era, *given))


@asynccontextmanager
async def typescript(home: Path, *, client: str, stdio: str, era: str | None = None) -> AsyncIterator[Window]:
    """Yield a TypeScript SDK, by the modules that hold its client and its stdio; `era` where it has several."""
    require(NODE, *(PACKAGES / "/".join(module.split("/")[:2]) for module in (client, stdio)))
    options = {"versionNegotiation": {"mode": era}} if era else {}
    server = {"command": COMMAND, "args": ARGUMENTS}
    about = json.dumps({"client": client, "stdio": stdio, "options": options, **server})
    async with await anyio.open_process([str(NODE), str(DRIVER), about], env=environment(home), stderr=None) as process:
        conversation = _Conversation(process)
        listed = await conversation.receive()
        yield _Driven([tool["name"] for tool in listed["tools"]], conversation)
        assert process.stdin
        await process.stdin.aclose()
        assert await process.wait() == 0


@asynccontextmanager
async def inspector(home: Path, *, era: str) -> AsyncIterator[Window]:
    """Yield the inspector's command line, in one of its eras."""
    require(NODE, INSPECTOR)
    listed = await _inspect(home, era, "--method", "tools/list")
    yield _Inspector(home, era, [tool["name"] for tool in listed["tools"]])


async def _inspect(home: Path, era: str, *arguments: str) -> dict[str, Any]:
    variables = environment(home, HOME=str(home.parent))
    handed_on = [f"-e{name}={value}" for name, value in variables.items() if name.startswith("REMIT_")]
    options = ["--cli", "--quiet", "--format", "json", "--protocol-era", era]
    argv = [str(NODE), str(INSPECTOR), *options, *handed_on, *arguments, COMMAND, *ARGUMENTS]
    done = await anyio.run_process(argv, env=variables, check=False)
    assert done.returncode in (0, TOOL_FAILED), done.stderr.decode()
    result: dict[str, Any] = json.loads(done.stdout)["result"]
    return result


def _outcome(result: Mapping[str, Any]) -> Outcome:
    text = "\n".join(block["text"] for block in result["content"] if block["type"] == "text")
    return Outcome(result.get("isError", False), text, result.get("structuredContent", {}))
