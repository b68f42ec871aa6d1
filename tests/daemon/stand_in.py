"""A tiny application behind the real daemon: it answers lines, and does as told.

Tests serve it in their own process, and put it where a checkout has `server/app.py`.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from server import logs
from server.daemon.connection import Connection
from server.daemon.listener import Load, harden, serve
from server.daemon.ownership import Ownership
from server.daemon.paths import find_state_paths, settings_digest
from server.errors import Code, RemitError
from server.version import VERSION


class Obedient:
    """Answers every request with its parameters, except the few it obeys."""

    def __init__(self) -> None:
        self.work = Load(running=0, waiting=0, secrets_held=0)
        self.served: list[Connection] = []

    async def load(self) -> Load:
        return self.work

    async def serve(self, connection: Connection) -> None:
        self.served.append(connection)
        while (line := await connection.receive_line()) is not None:
            _note(line)
            if b'"halfOnce"' in line:
                await _break_off_once(connection, json.loads(line))
            if answer := self.obey(json.loads(line)):
                await connection.send_line(json.dumps(answer).encode())

    def obey(self, message: dict[str, Any]) -> dict[str, Any] | None:
        match message:
            case {"method": "work", "params": {"running": running, "secretsHeld": secrets_held}}:
                self.work = Load(running=running, waiting=0, secrets_held=secrets_held)
            case {"method": "ask back"}:
                return {"jsonrpc": "2.0", "id": message["id"], "method": "a question of the server's own"}
            case {"method": "crash"}:
                raise ZeroDivisionError("told to")
            case {"method": "vanish"}:
                os.abort()
            case {"params": {"arguments": {"vanish": True}}}:
                os.abort()
            case {"params": {"arguments": {"hangUnless": str() as file}}} if not Path(file).exists():
                return None
            case {"method": "server/discover" | "initialize", "params": {"refused": True}}:
                return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32022, "message": "told to refuse"}}
            case {"method": "hang"} | {"method": "notifications/cancelled"}:
                return None
            case _ if "id" not in message or "method" not in message:
                return None
        return {"jsonrpc": "2.0", "id": message["id"], "result": message.get("params")}


def _note(line: bytes) -> None:
    """Keep what was delivered, over the ends of servers."""
    if journal := os.environ.get("REMIT_JOURNAL"):
        with Path(journal).open("ab") as file:
            file.write(line + b"\n")


async def _break_off_once(connection: Connection, message: dict[str, Any]) -> None:
    """Die in the middle of an answer, unless it was done before."""
    done = anyio.Path(message["params"]["arguments"]["halfOnce"])
    if not await done.exists():
        await done.touch()
        await connection._stream.send(b'{"jsonrpc": "2.0", "id": 1, "result": {"text": "the beginning of')
        os.abort()


def _wait_at(variable: str) -> None:
    """Wait until the test opens a gate: it writes to a pipe with a name."""
    if gate := os.environ.get(variable):
        Path(gate).read_bytes()


def main(*, ready: Callable[[], None], inline: bool = False) -> None:
    if not os.environ.get("REMIT_SOFT"):  # what looks into its process may not be root
        harden()
    paths = find_state_paths()
    logs.configure(paths)
    if (told := Path(paths.state, "trouble")).exists():
        raise RemitError(Code.VALIDATION_ERROR, told.read_text())
    if trouble := os.environ.get("REMIT_TROUBLE"):
        raise ExceptionGroup("of a task group", [RemitError(Code.VALIDATION_ERROR, trouble)])
    if os.environ.get("REMIT_ABORT"):
        os.abort()
    print("a library that prints", flush=True)
    _wait_at("REMIT_GATE_BEFORE_OWNING")
    application = Obedient()

    async def run() -> None:
        await serve(
            application,
            ownership=ownership,
            version=VERSION,
            settings_digest=settings_digest(),
            idle_exit=float(os.environ.get("REMIT_IDLE_EXIT", "900")),
            ready=ready,
        )

    with Ownership(paths) as ownership:
        _wait_at("REMIT_GATE_BEFORE_LISTENING")
        anyio.run(run)
