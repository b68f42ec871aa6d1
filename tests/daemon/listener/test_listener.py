"""The owner of a state folder, in the test's own process."""

import json
import os
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from server.daemon import listener
from server.daemon.connection import Peer
from server.daemon.handshake import MAX_LINE, PROTOCOL
from server.daemon.listener import MAX_HELLO, Load
from server.daemon.ownership import Ownership
from server.daemon.paths import StatePaths
from server.daemon.peers import Standing
from server.errors import Code, RemitError
from server.limits import PIPE_BYTES
from tests.daemon.listener.clients import Client, client, served


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


@pytest.mark.parametrize("hello", [b"[" * MAX_HELLO + b"\n", b" " * (MAX_HELLO + PIPE_BYTES)])
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


def test_harden_forbids_core_dumps_and_keeps_new_files_private() -> None:
    script = (
        "import ctypes, os, resource; from server.daemon.listener import harden; harden();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)))"
    )
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert told == "0 (0, 0) 0o77\n"
