"""The client's side of the hello, and how long it waits."""

import os
import socket
import subprocess
import threading

import anyio
import pytest

from server.daemon import launch
from server.daemon.handshake import Link, encode, reach
from server.daemon.launch import StartLock, connect
from server.daemon.paths import StatePaths
from server.errors import Code, RemitError

GREETING: dict[str, object] = {
    "protocol": 1,
    "version": "0.1.0",
    "pid": 1,
    "settings": "",
    "connections": 0,
    "running": 0,
    "secretsHeld": 0,
}

LISTEN = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
listener.accept()
"""


def test_nobody_is_reached_where_nobody_listens(paths: StatePaths) -> None:
    assert reach(paths, "status", "terminal") is None
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(paths.socket)
    assert reach(paths, "status", "terminal") is None


def test_a_server_that_leaves_before_its_greeting_is_not_reached(paths: StatePaths) -> None:
    assert _reached(paths, b"") is None


def test_a_listener_that_is_no_remit_server_is_refused(paths: StatePaths) -> None:
    with pytest.raises(RemitError, match="does not answer as a remit server"):
        _reached(paths, b"220 mail.example.com ESMTP\n")


def test_an_error_whose_code_is_of_a_newer_version_keeps_its_message(paths: StatePaths) -> None:
    with pytest.raises(RemitError, match="too many teapots") as refusal:
        _reached(paths, encode({"error": {"code": "TEAPOT", "message": "too many teapots"}}) + b"\n")
    assert refusal.value.code is Code.EXECUTION_ERROR


def test_what_follows_the_greeting_is_left_to_be_read(paths: StatePaths) -> None:
    link = _reached(paths, encode(GREETING) + b"\n" + b"what follows")
    assert link
    with link.socket:
        assert link.socket.recv(65536) == b"what follows"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
async def test_another_users_server_is_refused(paths: StatePaths) -> None:
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", LISTEN]
    async with anyio.TemporaryDirectory() as folder:
        os.chown(folder, 65534, 65534)
        os.symlink(f"{folder}/socket", paths.socket)
        command = [*as_nobody, f"{folder}/socket"]
        pipe = subprocess.PIPE
        async with await anyio.open_process(command, cwd="/", stdin=pipe, stdout=pipe) as process:
            assert process.stdout
            assert await process.stdout.receive()
            with pytest.raises(RemitError) as refusal:
                reach(paths, "status", "terminal")
    assert refusal.value.code is Code.FORBIDDEN


def test_a_start_that_hangs_is_given_up(paths: StatePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "PATIENCE", 0.1)
    with StartLock(paths), pytest.raises(RemitError, match=f"its log is {paths.log}") as refusal:
        connect("terminal", paths)
    assert refusal.value.code is Code.TIMEOUT


def test_a_server_that_hangs_is_given_up(paths: StatePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(paths.socket)
        deaf.listen()
        with pytest.raises(RemitError, match="did not get ready"):
            connect("terminal", paths)


def _reached(paths: StatePaths, greeting: bytes) -> Link | None:
    """Return what `reach` makes of a listener that answers the hello with `greeting`, and no more."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(greeting)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(paths.socket)
        listener.listen()
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            return reach(paths, "status", "terminal")
        finally:
            thread.join()
