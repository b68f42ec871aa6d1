"""The owner of a state folder, in the test's own process."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from server.daemon import listener
from server.daemon.connection import CHUNK, Peer
from server.daemon.handshake import MAX_LINE, PROTOCOL
from server.daemon.listener import MAX_HELLO, Load, serve
from server.daemon.ownership import Ownership
from server.daemon.paths import StatePaths
from server.daemon.peers import Standing
from server.errors import Code, RemitError
from tests.daemon.conftest import PATIENCE
from tests.daemon.stand_in import Obedient

HELLO = {"protocol": PROTOCOL, "version": "1.2.3", "op": "connect", "role": "pipe", "cwd": "/", "settings": ""}


class Client:
    """A raw client of the socket, without the hello."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self._lines = BufferedByteReceiveStream(stream)

    async def send(self, message: dict[str, Any]) -> None:
        await self.stream.send(json.dumps(message).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        with anyio.fail_after(PATIENCE):
            answer: dict[str, Any] = json.loads(await self._lines.receive_until(b"\n", 2 * MAX_LINE))
        return answer

    async def greet(self, **fields: Any) -> dict[str, Any]:
        await self.send({"remit": HELLO | fields})
        greeting: dict[str, Any] = (await self.receive())["remit"]
        return greeting

    async def call(self, key: int, method: str, **params: Any) -> dict[str, Any]:
        await self.send({"id": key, "method": method, "params": params})
        return await self.receive()

    async def ended(self) -> None:
        """Return when the server has closed the connection."""
        with anyio.fail_after(PATIENCE), suppress(anyio.BrokenResourceError):
            async for _ in self.stream:
                pass


@asynccontextmanager
async def client(paths: StatePaths) -> AsyncIterator[Client]:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(paths.socket)
    async with await SocketStream.from_socket(connection) as stream:
        yield Client(stream)


@asynccontextmanager
async def served(paths: StatePaths, idle_exit: float = 900) -> AsyncIterator[Obedient]:
    """A daemon at work; at the end of the block it must be gone, by itself or by being cancelled."""
    application = Obedient()
    ready = anyio.Event()

    async def run() -> None:
        with Ownership(paths) as ownership:
            await serve(
                application,
                ownership=ownership,
                version="1.2.3",
                settings_digest="cafe",
                idle_exit=idle_exit,
                ready=ready.set,
            )

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        with anyio.fail_after(PATIENCE):
            await ready.wait()
        yield application
        group.cancel_scope.cancel()


async def stopped(paths: StatePaths) -> None:
    """Return when nobody owns the state folder any more."""
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                with Ownership(paths):
                    return
            except RemitError:
                await anyio.lowlevel.checkpoint()


async def test_it_greets_with_what_it_is_and_has_to_do(paths: StatePaths) -> None:
    async with served(paths) as application, client(paths) as peer:
        application.work = Load(running=1, waiting=2, secrets_held=3)
        greeting = await peer.greet()
    assert greeting.pop("startedAt").endswith("Z")
    assert greeting == {
        "protocol": PROTOCOL,
        "version": "1.2.3",
        "pid": os.getpid(),
        "settings": "cafe",
        "state": paths.state,
        "connections": 0,
        "running": 1,
        "waiting": 2,
        "secretsHeld": 3,
        "role": "pipe",
    }


async def test_the_application_learns_who_its_peer_is(paths: StatePaths) -> None:
    async with served(paths) as application, client(paths) as peer:
        await peer.greet(role="terminal", cwd="/usr")
        await peer.call(1, "echo")
        expected = Peer(uid=os.getuid(), pid=os.getpid(), role="terminal", cwd=Path("/usr"), standing=Standing.PERSON)
        assert [connection.peer for connection in application.served] == [expected]


async def test_a_relative_folder_is_not_taken_from_a_peer(paths: StatePaths) -> None:
    async with served(paths) as application, client(paths) as peer:
        await peer.greet(cwd="usr")
        await peer.call(1, "echo")
        assert application.served[0].peer.cwd is None


async def test_connections_are_counted_while_they_last(paths: StatePaths) -> None:
    async with served(paths), client(paths) as first:
        await first.greet()
        async with client(paths) as second:
            assert (await second.greet())["connections"] == 1
            await second.stream.send_eof()
            await second.ended()
        async with client(paths) as third:
            assert (await third.greet(op="status"))["connections"] == 1


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1",
        b"[]",
        b'{"remit": 1}',
        b'{"remit": {"op": "dance", "role": "pipe"}}',
        b"\xff",
        b'{"remit": {}}',
    ],
)
async def test_what_is_no_hello_is_answered_by_an_error(paths: StatePaths, line: bytes) -> None:
    async with served(paths) as application, client(paths) as peer:
        await peer.stream.send(line + b"\n")
        assert (await peer.receive())["remit"]["error"]["code"] == "VALIDATION_ERROR"
        await peer.ended()
        assert application.served == []


async def test_a_peer_that_says_no_hello_in_time_is_sent_away(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HELLO_SECONDS", 0.01)
    async with served(paths), client(paths) as peer:
        await peer.ended()


async def test_another_protocol_is_greeted_and_not_served(paths: StatePaths) -> None:
    async with served(paths) as application, client(paths) as peer:
        assert (await peer.greet(protocol=PROTOCOL + 1))["protocol"] == PROTOCOL
        await peer.ended()
        assert application.served == []


KNOCK = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
print(connection.recv(999).decode())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
async def test_another_users_process_is_refused(paths: StatePaths) -> None:
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    async with served(paths), anyio.TemporaryDirectory() as folder:
        door = f"{folder}/door"
        os.link(paths.socket, door)  # past the state folder, which keeps others out by itself
        os.chmod(door, 0o666)
        os.chmod(folder, 0o755)
        answer = await anyio.run_process([*as_nobody, "/usr/bin/python3", "-c", KNOCK, door], cwd="/")
    assert json.loads(answer.stdout)["remit"]["error"]["code"] == "FORBIDDEN"


async def test_the_socket_is_the_owners_alone(paths: StatePaths) -> None:
    async with served(paths):
        assert stat.S_IMODE(os.stat(paths.socket).st_mode) == 0o600


async def test_a_dead_servers_socket_is_taken_over(paths: StatePaths) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(paths.socket)
    async with served(paths), client(paths) as peer:
        assert (await peer.greet())["pid"] == os.getpid()


async def test_a_state_folder_has_one_owner(paths: StatePaths) -> None:
    with Ownership(paths):
        with pytest.raises(RemitError) as refusal, Ownership(paths):
            pass
        assert refusal.value.code is Code.CONFLICT
        assert await anyio.Path(paths.server_lock).read_text() == f"{os.getpid()}\n"
    with Ownership(paths):
        pass


async def test_a_crash_ends_its_own_connection_only(paths: StatePaths, caplog: pytest.LogCaptureFixture) -> None:
    async with served(paths), client(paths) as other, client(paths) as crashing:
        await other.greet()
        await crashing.greet()
        await crashing.send({"id": 1, "method": "crash"})
        await crashing.ended()
        assert (await other.call(2, "echo"))["id"] == 2
    assert "ZeroDivisionError: told to" in caplog.text


async def test_lines_arrive_whole_however_they_were_cut(paths: StatePaths) -> None:
    async with served(paths), client(paths) as peer:
        await peer.greet()
        for byte in b'{"id": 1, "method": "echo", "params": {"text": "\\u00e9"}}\n{"id": 2, ':
            await peer.stream.send(bytes([byte]))
        assert (await peer.receive())["result"] == {"text": "é"}
        await peer.stream.send(b'"method": "echo"}\n')
        assert (await peer.receive())["id"] == 2


async def test_a_line_of_the_greatest_length_passes(paths: StatePaths) -> None:
    async with served(paths), client(paths) as peer:
        await peer.greet()
        text = "x" * (MAX_LINE - 100)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: peer.send({"id": 1, "method": "echo", "params": {"text": text}}))
            assert (await peer.receive())["result"]["text"] == text


@pytest.mark.parametrize("hello", [b"[" * MAX_HELLO + b"\n", b" " * (MAX_HELLO + CHUNK)])
async def test_a_hello_is_short_and_simple(paths: StatePaths, hello: bytes) -> None:
    async with served(paths), client(paths) as peer:
        await peer.stream.send(hello)
        answer = await peer.receive()
        assert "error" in answer.get("remit", answer)
        await peer.ended()


async def test_a_line_that_is_too_long_is_refused_and_the_connection_closed(paths: StatePaths) -> None:
    async with served(paths), client(paths) as peer:
        await peer.greet()
        async with anyio.create_task_group() as group:
            group.start_soon(_send_until_refused, peer.stream)
            error = (await peer.receive())["error"]
        assert error == {"code": -32600, "message": "a message may be at most 32 MiB long"}
        await peer.ended()


async def _send_until_refused(stream: SocketStream) -> None:
    with suppress(anyio.BrokenResourceError):
        while True:
            await stream.send(b"x" * 65536)


async def test_a_cancelled_sender_leaves_no_half_line(paths: StatePaths) -> None:
    async with served(paths) as application, client(paths) as peer:
        await peer.greet()
        await peer.call(1, "echo")
        text = "x" * 10_000_000  # more than the socket takes at once
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(_read_after, scope, peer)
                await application.served[0].send_line(json.dumps({"text": text}).encode())
        assert (await peer.call(2, "echo"))["id"] == 2


async def _read_after(scope: anyio.CancelScope, peer: Client) -> None:
    scope.cancel()
    assert len((await peer.receive())["text"]) == 10_000_000


async def test_stop_ends_an_idle_server_and_takes_its_socket_away(paths: StatePaths) -> None:
    async with served(paths), client(paths) as window, client(paths) as peer:
        await window.greet()
        assert "error" not in await peer.greet(op="stop")
        await window.ended()
        await stopped(paths)
        assert not await anyio.Path(paths.socket).exists()


@pytest.mark.parametrize("work", [Load(1, 0, 0), Load(0, 0, 1)])
async def test_a_busy_server_refuses_to_stop(paths: StatePaths, work: Load) -> None:
    async with served(paths) as application, client(paths) as peer, client(paths) as other:
        application.work = work
        assert (await peer.greet(op="stop"))["error"]["code"] == "CONFLICT"
        assert (await other.greet(op="status"))["running"] == work.running


async def test_a_busy_server_can_be_forced_to_stop(paths: StatePaths) -> None:
    async with served(paths) as application, client(paths) as peer:
        application.work = Load(running=1, waiting=0, secrets_held=1)
        await peer.greet(op="stop", force=True)
        await stopped(paths)


async def test_tasks_that_wait_do_not_keep_a_server_from_stopping(paths: StatePaths) -> None:
    async with served(paths) as application, client(paths) as peer:
        application.work = Load(running=0, waiting=5, secrets_held=0)
        assert (await peer.greet(op="stop"))["waiting"] == 5
        await stopped(paths)


async def test_a_peer_that_does_not_read_does_not_keep_the_server_from_stopping(paths: StatePaths) -> None:
    async with served(paths), client(paths) as deaf, client(paths) as peer:
        await deaf.greet()
        await deaf.send({"id": 1, "method": "echo", "params": {"text": "x" * 10_000_000}})
        await deaf.stream.receive(1)  # the answer has begun
        await peer.greet(op="stop")
        await stopped(paths)


async def test_sigterm_stops_it(paths: StatePaths) -> None:
    async with served(paths), client(paths) as peer:
        await peer.greet(op="status")
        os.kill(os.getpid(), signal.SIGTERM)
        await stopped(paths)


async def test_it_ends_when_nobody_is_connected_any_more(paths: StatePaths) -> None:
    async with served(paths, idle_exit=0):
        async with client(paths) as peer:
            await peer.greet()
            await peer.call(1, "echo")
        await stopped(paths)


async def test_it_ends_when_whoever_started_it_never_comes(paths: StatePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "FIRST_VISIT", 0.01)
    async with served(paths, idle_exit=0.2):
        await stopped(paths)


async def test_it_stays_while_somebody_is_connected(paths: StatePaths) -> None:
    async with served(paths, idle_exit=0), client(paths) as peer:
        await peer.greet()
        async with client(paths) as other:
            await other.greet()
        with anyio.move_on_after(5 * listener.RECHECK):
            await peer.ended()
        assert (await peer.call(1, "echo"))["id"] == 1


async def test_it_stays_while_there_is_work_and_ends_after_it(paths: StatePaths) -> None:
    async with served(paths, idle_exit=0) as application:
        async with client(paths) as peer:
            await peer.greet()
            await peer.call(1, "work", running=1, secretsHeld=0)
        with pytest.raises(TimeoutError), anyio.fail_after(5 * listener.RECHECK):
            await stopped(paths)
        application.work = Load(running=0, waiting=0, secrets_held=0)
        await stopped(paths)


def test_harden_forbids_core_dumps_and_keeps_new_files_private() -> None:
    script = (
        "import ctypes, os, resource; from server.daemon.listener import harden; harden();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)))"
    )
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert told == "0 (0, 0) 0o77\n"


async def test_a_look_at_the_work_that_fails_does_not_end_the_server(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, failures = anyio.Event(), iter([RemitError(Code.EXECUTION_ERROR, "the database failed"), OSError("it")])

    async def load(_: Obedient) -> Load:
        for failure in failures:
            raise failure
        again.set()
        return Load(running=0, waiting=0, secrets_held=0)

    monkeypatch.setattr(Obedient, "load", load)
    monkeypatch.setattr(listener, "FIRST_VISIT", 0)
    async with served(paths, idle_exit=0):
        with anyio.fail_after(PATIENCE):
            await again.wait()
