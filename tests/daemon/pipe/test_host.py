"""Detection of the host's end by the pipe, which ends then."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from tests.daemon.conftest import ROOT, Checkout
from tests.servers import PATIENCE, wait

HOST = """
import os, subprocess, sys
reader, writer = os.pipe()
answers = open(sys.argv[2], "wb")
pipe = subprocess.Popen([sys.executable, sys.argv[1]], stdin=reader, stdout=answers)
holder = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[writer])
if sys.argv[3]:
    os.write(writer, sys.argv[3].encode() + b"\\n")
print(pipe.pid, holder.pid, flush=True)
sys.stdin.read()
"""
"""A host whose child holds the writing end of the pipe's input for as long as that child lives."""


WRITERS = """
from concurrent.futures import ThreadPoolExecutor
from server.pipe.host import HostStreams
host = HostStreams(0, 1)
with ThreadPoolExecutor() as threads:
    for line in (b"a" * 2**20 + b"\\n", *[b"b\\n"] * 100):
        threads.submit(host.write, line)
"""
"""What writes a long line and many short ones at the same time."""


@pytest.fixture
def launcher(home: Path, tmp_path: Path) -> Path:
    """What starts a pipe before the stand-in for the application."""
    return Checkout(tmp_path / "checkout", AsyncExitStack()).launcher


@pytest.fixture
def abandoned(launcher: Path, home: Path, tmp_path: Path) -> "Abandoned":
    return Abandoned(launcher, home / "remit.sock", tmp_path / "answers")


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """A pipe: its reading and its writing end."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


class Abandoned:
    """A pipe whose host ends while somebody else holds its input."""

    def __init__(self, launcher: Path, socket: Path, answers: Path) -> None:
        self._launcher = launcher
        self._socket = socket
        self._answers = answers

    def said(self, request: str = "") -> bytes:
        """Return what it said to its host until it ended, which it must."""
        command = [sys.executable, "-c", HOST, str(self._launcher), str(self._answers), request]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as host:
            assert host.stdout
            pipe, holder = map(int, host.stdout.readline().split())
            try:
                while not self._socket.exists():
                    pass  # what is to end must have begun
                host.kill()
                wait(pipe)
            finally:
                subprocess.run(["kill", str(holder)], check=True)
        wait(holder)
        return self._answers.read_bytes()


def test_it_ends_with_its_host_and_says_nothing(abandoned: Abandoned) -> None:
    assert abandoned.said() == b""


def test_what_the_host_asked_before_its_end_is_done(abandoned: Abandoned) -> None:
    request = '{"jsonrpc": "2.0", "id": 1, "method": "echo", "params": {"text": "done"}}'
    assert b'"text": "done"' in abandoned.said(request)


def test_it_ends_when_the_host_neither_reads_nor_writes_any_more(launcher: Path) -> None:
    text = "x" * 2**20
    request = f'{{"jsonrpc": "2.0", "id": 1, "method": "echo", "params": "{text}"}}\n'.encode()
    with subprocess.Popen([sys.executable, launcher], stdin=-1, stdout=-1) as pipe:
        assert pipe.stdin
        assert pipe.stdout
        pipe.stdin.write(request)
        pipe.stdin.flush()
        assert pipe.stdout.read(1)  # the answer is on its way, and fills what nobody reads
        pipe.stdin.close()
        assert pipe.wait(PATIENCE) == 0


def test_it_ends_when_the_host_stops_reading_with_more_to_send(launcher: Path) -> None:
    request = b'{"jsonrpc": "2.0", "id": 1, "method": "echo", "params": "%s"}\n' % (b"x" * 2**20)
    with subprocess.Popen([sys.executable, launcher], stdin=-1, stdout=-1, bufsize=0) as pipe:
        assert pipe.stdin
        assert pipe.stdout
        for _ in range(3):
            pipe.stdin.write(request)
        pipe.stdin.close()
        assert pipe.wait(PATIENCE) == 0


def test_it_ends_when_nobody_can_read_its_answers_while_its_input_is_held_open(launcher: Path) -> None:
    with subprocess.Popen([sys.executable, launcher], stdin=-1, stdout=-1, bufsize=0) as pipe:
        assert pipe.stdin
        assert pipe.stdout
        pipe.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "echo"}\n')
        assert pipe.stdout.readline()  # it has begun, and waits for more
        pipe.stdout.close()
        assert pipe.wait(PATIENCE) == 0


def test_what_was_sent_before_nobody_could_read_its_answers_is_delivered(launcher: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    env = os.environ | {"REMIT_JOURNAL": str(journal)}
    with subprocess.Popen([sys.executable, launcher], stdin=-1, stdout=-1, bufsize=0, env=env) as pipe:
        assert pipe.stdin
        assert pipe.stdout
        pipe.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "echo"}\n')
        assert pipe.stdout.readline()
        pipe.stdin.write(b'{"jsonrpc": "2.0", "id": 2, "method": "the last"}\n')
        pipe.stdout.close()
        assert pipe.wait(PATIENCE) == 0
    assert b"the last" in journal.read_bytes()


def test_lines_written_by_several_threads_do_not_mix() -> None:
    assert sorted(_written(WRITERS).splitlines()) == [b"a" * 2**20, *[b"b"] * 100]


def test_a_host_that_makes_our_output_non_blocking_gets_all_of_it() -> None:
    assert _written(f"import os; os.set_blocking(1, False)\n{WRITERS}").count(b"a") == 2**20


def _written(script: str) -> bytes:
    """Return what a script writes to its standard output, read slower than it is written."""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=-1, bufsize=0) as run:
        assert run.stdout
        pieces = []
        while piece := run.stdout.read(1000):
            pieces.append(piece)
    return b"".join(pieces)


def test_a_host_that_never_reads_its_log_is_answered(launcher: Path, ends: tuple[int, int]) -> None:
    _, stderr = ends
    os.set_blocking(stderr, False)
    with suppress(BlockingIOError):
        while True:
            os.write(stderr, b"x" * 65536)
    os.set_blocking(stderr, True)
    pipe = subprocess.run(
        [sys.executable, launcher],
        env=os.environ | {"REMIT_TROUBLE": "the setting colour must be blue"},
        input=b'{"jsonrpc": "2.0", "id": 1, "method": "echo"}\n',
        stdout=subprocess.PIPE,
        stderr=stderr,
        timeout=PATIENCE,
        check=False,
    )
    assert b"the setting colour must be blue" in pipe.stdout


def test_a_last_line_without_a_newline_is_read(launcher: Path) -> None:
    asked = '{"jsonrpc": "2.0", "id": 1, "method": "echo", "params": {"text": "the last"}}'
    pipe = subprocess.run(
        [sys.executable, launcher], input=asked, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert '"text": "the last"' in pipe.stdout
