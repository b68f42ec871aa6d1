"""The processes that the server talks to, and those that it takes for a person at a terminal."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from time import monotonic

import pytest
from anyio import to_thread

from server.daemon.peers import Standing, standing
from tests import servers
from tests.cli.command_line import CommandLine
from tests.runner.commands import processes_with, run
from tests.runner.sandbox.test_commands import shell
from tests.servers import Host

CONNECT = """
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
peer.sendall(b"x")
peer.recv(1)
"""
HELLO = """
import json, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
peer.sendall(json.dumps({"remit": {"op": "connect", "protocol": 1, "role": "terminal"}}).encode() + b"\\n")
print(peer.recv(4096).decode())
"""


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        yield listener


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    """A window on a server that lets only a person at a terminal approve."""
    with servers.home(tmp_path) as state:
        async with servers.host(state, REMIT_APPROVALS="person") as host:
            yield host


def found(listener: socket.socket, *through: str, script: str = CONNECT) -> Standing:
    """Return what a process may be taken for that is started by another one, no child of this process."""
    argv = (*through, sys.executable, "-I", "-S", "-c", script, listener.getsockname())
    subprocess.run(("/bin/sh", "-c", '"$@" & exit 0', "sh", *argv), check=True)
    answer = examined(listener)
    until_gone(listener)
    return answer


def until_gone(listener: socket.socket) -> None:
    """Wait until whoever has connected is gone."""
    deadline = monotonic() + servers.PATIENCE
    while processes_with(listener.getsockname()) and monotonic() < deadline:
        pass


def examined(listener: socket.socket) -> Standing:
    """Return what the next process may be taken for that connects."""
    listener.settimeout(20)
    connection, _ = listener.accept()
    with connection:
        connection.recv(1)
        (pid,) = [connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4)]
        return standing(connection, int.from_bytes(pid, sys.byteorder))


needs_unshare = pytest.mark.skipif(shutil.which("unshare") is None, reason="util-linux is not installed")


HIDE = "import ctypes; ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE of linux/prctl.h\n"


def test_a_process_in_the_same_namespaces_may_be_a_person(listener: socket.socket) -> None:
    assert found(listener) is Standing.PERSON


@needs_unshare
@pytest.mark.parametrize("kind", ["--user", "--pid --user --fork", "--user --map-root-user --mount"])
def test_a_process_in_a_namespace_below_this_ones_is_taken_for_a_task(listener: socket.socket, kind: str) -> None:
    assert found(listener, "unshare", *kind.split()) is Standing.TASK


@needs_unshare
@pytest.mark.skipif(os.geteuid() == 0, reason="nothing hides from root")
@pytest.mark.parametrize("through", [(), ("unshare", "--user"), ("unshare", "--pid", "--user", "--fork")])
def test_a_process_that_hides_itself_is_taken_for_a_task(listener: socket.socket, through: tuple[str, ...]) -> None:
    assert found(listener, *through, script=HIDE + CONNECT) is Standing.TASK


@needs_unshare
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gets a mount namespace without a user namespace")
def test_a_process_in_another_mount_namespace_alone_is_a_caller(listener: socket.socket) -> None:
    assert found(listener, "unshare", "--mount") is Standing.CALLER


def test_a_process_beneath_this_one_is_taken_for_a_task(listener: socket.socket) -> None:
    argv = (sys.executable, "-I", "-S", "-c", CONNECT, listener.getsockname())
    with subprocess.Popen(("/bin/sh", "-c", '"$@"; true', "sh", *argv)):
        assert examined(listener) is Standing.TASK


def test_a_process_that_left_its_connection_to_another_is_taken_for_a_task(listener: socket.socket) -> None:
    script = f"{CONNECT.rsplit('peer.recv', 1)[0]}\nimport os\nif os.fork() == 0: peer.recv(1)\n"
    waited = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    subprocess.run(
        (sys.executable, "-I", "-S", "-c", waited, sys.executable, "-I", "-S", "-c", script, listener.getsockname()),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert examined(listener) is Standing.TASK
    until_gone(listener)


@pytest.mark.namespaces
async def test_one_that_takes_its_time_is_told_why_all_the_same(host: Host, tmp_path: Path) -> None:
    late = HELLO.replace("peer.sendall", "import time; time.sleep(0.5); peer.sendall")
    ran = await run(shell("namespaces", tmp_path, f"python3 -I -S -c '{late}' {tmp_path}/state/remit.sock"))
    assert "FORBIDDEN" in ran.output


@pytest.mark.namespaces
async def test_a_task_that_has_the_socket_is_not_talked_to(host: Host, tmp_path: Path) -> None:
    request = shell("namespaces", tmp_path, f"python3 -I -S -c '{HELLO}' {tmp_path}/state/remit.sock")
    ran = await run(request)
    error = json.loads(ran.output)["remit"]["error"]
    assert error["code"] == "FORBIDDEN"
    assert error["message"].startswith("this server does not talk to what runs in a sandbox, or in a task, nor")
    assert "REMIT_HOME" in error["message"]


@needs_unshare
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gets a mount namespace without a user namespace")
async def test_a_terminal_in_another_mount_namespace_decides_nothing(host: Host, tmp_path: Path) -> None:
    task_id, call_id = await host.waiting("$ true")
    with _Elsewhere(tmp_path / "state", tmp_path).at_terminal("approve", task_id, REMIT_APPROVALS="person") as approve:
        await to_thread.run_sync(approve.expect, "FORBIDDEN: this terminal is in other namespaces than the server")
    assert await host.waiting_call(task_id) == call_id


@needs_unshare
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gets a mount namespace without a user namespace")
async def test_such_a_terminal_is_told_so_with_what_to_do_and_can_do_it(host: Host, tmp_path: Path) -> None:
    task_id, _ = await host.waiting("$ true")
    elsewhere = _Elsewhere(tmp_path / "state", tmp_path)
    listed, pruned = elsewhere("list"), elsewhere("worktrees", "prune", "--force", task_id)
    assert (listed.returncode, task_id[:8] in listed.stdout) == (0, True)
    assert "start it from here" in listed.stderr
    assert (pruned.returncode != 0, "VALIDATION_ERROR" in pruned.stderr) == (True, False)
    assert elsewhere("server", "stop", "--force").returncode == 0


@needs_unshare
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gets a mount namespace without a user namespace")
async def test_doctor_says_there_why_it_decides_nothing_and_what_to_do(host: Host, tmp_path: Path) -> None:
    await host.call("list_tasks")
    elsewhere, here = _Elsewhere(tmp_path / "state", tmp_path), CommandLine(tmp_path / "state", tmp_path)
    assert "this terminal is in other namespaces than the server" in elsewhere("doctor").stdout
    assert "other namespaces" not in here("doctor").stdout


class _Elsewhere(CommandLine):
    """`remit` in a mount namespace of its own."""

    def _argv(self, arguments: Sequence[str]) -> list[str]:
        return ["unshare", "--mount", *super()._argv(arguments)]
