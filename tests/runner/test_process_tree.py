"""Processes are found by what /proc tells, whatever they do to hide."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from server.runner import process_tree
from server.runner.process import ProcessMark, end_leftover

# Its first thread ends, which makes it look like a zombie; the second lives on.
HEADLESS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
print("up", flush=True)
ctypes.CDLL(None).syscall({exit}, 0)
"""


@contextmanager
def python(source: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen((sys.executable, "-c", source), stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def headless() -> str:
    return HEADLESS.format(exit={"x86_64": 60, "aarch64": 93}[os.uname().machine])


def test_a_process_without_its_first_thread_is_alive() -> None:
    with python(headless()) as process:
        while process_tree.stat(process.pid)[0] != b"Z":
            pass
        assert process.pid in process_tree.descendants(os.getpid())


def test_an_ended_process_is_not_alive() -> None:
    with python("print('up')") as process:
        while process_tree.stat(process.pid)[0] != b"Z":
            pass
        assert process.pid not in process_tree.descendants(os.getpid())


def test_the_whole_tree_beneath_a_process_is_killed() -> None:
    forks = "import os, time; [os.fork() for _ in range(4)]; print('up', flush=True); time.sleep(1000)"
    with python(forks) as process:
        while len(process_tree.descendants(process.pid)) < 15:
            pass
        process_tree.end_descendants(process.pid)
        assert not process_tree.descendants(process.pid)
        assert process.poll() is None


def test_a_number_that_was_given_out_again_is_left_alone() -> None:
    with python("import time; print('up', flush=True); time.sleep(1000)") as process:
        mark = ProcessMark.of(process.pid)
        for other in (
            ProcessMark(pid=mark.pid, start_ticks=mark.start_ticks - 1, boot_id=mark.boot_id),
            ProcessMark(pid=mark.pid, start_ticks=mark.start_ticks, boot_id="another boot"),
        ):
            assert not end_leftover(other)
        assert process.poll() is None


def test_what_is_gone_has_no_mark() -> None:
    with python("print('up')") as process:
        process.wait()
        with pytest.raises(ProcessLookupError):
            ProcessMark.of(process.pid)
