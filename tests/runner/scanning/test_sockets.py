"""Unix sockets in a folder of the person's, behind which programs outside listen."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from server.errors import Code, RemitError
from server.runner.filesystem import walk
from server.runner.scanning import sockets
from server.runner.scanning.sockets import FoundSockets, find_sockets
from server.tier_names import TierName
from tests.runner.commands import run, sandbox_of
from tests.runner.sandbox.test_commands import shell

CONNECT = """
import socket, sys
for name in sys.argv[1:]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        try:
            peer = socket.socket(socket.AF_UNIX, kind)
            peer.connect(name)
            print("connected to", name)
        except OSError as error:
            pass
"""
NAMES = ("stream", "sub/deep/datagram", ".git/packets")
KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)


def listening(path: Path, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Return a socket that anybody may connect to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, kind)
    folder = os.open(path.parent, os.O_PATH)
    listener.bind(f"/proc/self/fd/{folder}/{path.name}")  # its own may be longer than the address of a socket
    os.close(folder)
    path.chmod(0o777)
    if kind != socket.SOCK_DGRAM:
        listener.listen()
    return listener


@pytest.fixture
def services(workspace: Path) -> Iterator[list[str]]:
    """The names of sockets of each kind in the workspace, on which somebody listens."""
    with ExitStack() as stack:
        for name, kind in zip(NAMES, KINDS, strict=True):
            stack.enter_context(listening(workspace / name, kind))
        yield list(NAMES)


def script(*names: str) -> str:
    return f"python3 -I -S - {' '.join(names)} <<'END'\n{CONNECT}\nEND"


@pytest.mark.parametrize("access", ["read-only", "read-write"])
async def test_no_command_connects_to_them(
    confining: TierName, workspace: Path, services: list[str], access: Literal["read-only", "read-write"]
) -> None:
    request = replace(shell(confining, workspace, script(*services)), access=access, owner="user")
    if confining == "landlock":
        request = replace(request, hooks="writable")
    ran = await run(request)
    assert (ran.status, ran.output) == (0, "")


async def test_the_probe_connects_where_nothing_is_covered(workspace: Path, services: list[str]) -> None:
    ran = await run(shell("off", workspace, script(*services)))
    assert {line.rpartition(" ")[2] for line in ran.output.splitlines()} == set(NAMES)


@pytest.mark.namespaces
async def test_they_are_looked_for_before_each_command(workspace: Path) -> None:
    request = replace(shell("namespaces", workspace, script("late")), owner="user")
    await run(request)
    with listening(workspace / "late"):
        assert (await run(request)).output == ""


@pytest.mark.namespaces
@pytest.mark.parametrize(("access", "expected"), [("read-only", ""), ("read-write", "for others\n")])
async def test_nothing_is_taken_from_a_fifo_in_a_folder_that_is_only_read(
    workspace: Path, access: Literal["read-only", "read-write"], expected: str
) -> None:
    os.mkfifo(workspace / "fifo")
    fifo = os.open(workspace / "fifo", os.O_RDWR)
    try:
        os.write(fifo, b"for others\n")
        ran = await run(replace(shell("namespaces", workspace, "head -n 1 fifo"), access=access, owner="user"))
    finally:
        os.close(fifo)
    assert ran.output == expected


@pytest.mark.namespaces
async def test_those_in_a_repository_that_a_worktree_borrows_from_are_covered(workspace: Path) -> None:
    borrowed = workspace.parent / "objects"
    with listening(borrowed / "service"):
        request = shell("namespaces", workspace, script(str(borrowed / "service")))
        ran = await run(replace(request, readable=(str(borrowed),), pinned=(str(borrowed),)))
    assert ran.output == ""


@pytest.mark.namespaces
async def test_one_that_a_command_has_left_can_be_removed_and_made_again(workspace: Path) -> None:
    made = "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"own\")'"
    request = replace(shell("namespaces", workspace, f"rm -f own && {made}"), owner="user")
    assert [(await run(request)).status for _ in range(2)] == [0, 0]


@pytest.mark.namespaces
async def test_two_processes_of_a_command_talk_over_one_of_their_own(workspace: Path) -> None:
    server = "import socket; s = socket.socket(socket.AF_UNIX); s.bind('own'); s.listen(); s.accept()[0].send(b'hello')"
    client = (
        "import socket; s = socket.socket(socket.AF_UNIX)\nwhile s.connect_ex('own'): pass\nprint(s.recv(9).decode())"
    )
    both = f'python3 -c "{server}" & python3 -c "{client}"'
    ran = await run(replace(shell("namespaces", workspace, both), owner="user"))
    assert ran.output == "hello\n"


def test_neither_links_nor_other_files_nor_the_dead_are_taken_for_sockets(workspace: Path) -> None:
    os.mkfifo(workspace / "fifo")
    listening(workspace / "dead").close()
    with listening(workspace / "alive"):
        (workspace / "link").symlink_to("alive")
        assert find_sockets([workspace, workspace]) == FoundSockets((workspace / "alive",), is_whole=True)


def test_the_search_ends_where_folders_are_too_many(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_FOLDERS", 1)
    with listening(workspace / "found"), listening(workspace / "below/lost"):
        assert find_sockets([workspace]) == FoundSockets((workspace / "found",), is_whole=False)


def test_fifos_take_no_socket_its_place(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MOST_SOCKETS", 2)
    for number in range(4):
        os.mkfifo(workspace / f"a{number}")
    with listening(workspace / "z"):
        found = find_sockets([workspace], read_only=[workspace])
    assert (found.paths[0], len(found.paths), found.is_whole) == (workspace / "z", 3, False)


@pytest.mark.namespaces
async def test_a_command_is_refused_where_others_listen_on_more_sockets_than_are_covered(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "MOST_SOCKETS", 2)
    with listening(workspace / "a"), listening(workspace / "b"), listening(workspace / "c"):
        ran = run(replace(shell("namespaces", workspace, "true"), owner="user"))
        with pytest.raises(RemitError, match="more than 2 unix sockets") as caught:
            await ran
    assert caught.value.code is Code.SANDBOX_UNAVAILABLE


@pytest.mark.namespaces
async def test_a_gap_tells_what_is_left(workspace: Path) -> None:
    gaps = " ".join((await sandbox_of("namespaces")).gaps)
    assert "while a command runs can be connected to" in gaps
    assert "can lock (flock) files that it may only read" in gaps


def test_a_socket_that_was_there_first_is_found_whatever_has_been_made_since(workspace: Path) -> None:
    with listening(workspace / "z/deep/of-the-person"):
        first = find_sockets([workspace]).paths
        assert first
        for number in range(walk.MOST_FOLDERS):
            (workspace / f"a{number}").mkdir()
        assert (find_sockets([workspace]).paths, find_sockets([workspace], first=first).paths) == ((), first)
        (workspace / "z").rename(workspace / "y")
        (workspace / "z").symlink_to("y")
        assert find_sockets([workspace], first=first).paths == ()
